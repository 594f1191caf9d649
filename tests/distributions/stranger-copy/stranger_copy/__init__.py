"""A distribution whose plugin has the same name as the plugin of another distribution."""

from addonkit import Plugin

plugin = Plugin("stranger_notes", __name__)
