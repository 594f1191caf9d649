from addonkit import Plugin

plugin = Plugin("no_static", __name__)
plugin.static("gone.svg")
