from addonkit import Plugin

plugin = Plugin("bad_key", __name__)
plugin.declare("generalPages", key="my_key", name="X", url="/bad_key/x")
