"""Another distribution that claims the name of somebody else's plugin."""

from addonkit import Plugin

plugin = Plugin("stranger_notes", __name__)
