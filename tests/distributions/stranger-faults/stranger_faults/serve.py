from addonkit import Plugin

plugin = Plugin("serve", __name__)
