from addonkit import Plugin

plugin = Plugin("another", __name__)
