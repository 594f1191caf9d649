"""Wants a table with a name that is another plugin's."""

from addonkit import Plugin

plugin = Plugin("stranger_clash", __name__, models="stranger_clash.models")
