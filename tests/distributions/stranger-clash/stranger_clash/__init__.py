"""A plugin whose table has the name of another plugin's table."""

from addonkit import Plugin

plugin = Plugin("stranger_clash", __name__, models="stranger_clash.models")
