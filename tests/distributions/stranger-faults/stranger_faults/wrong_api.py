from addonkit import Plugin

plugin = Plugin("wrong_api", __name__, api=2)
