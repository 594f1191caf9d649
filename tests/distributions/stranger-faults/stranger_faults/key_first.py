from addonkit import Plugin

plugin = Plugin("key_first", __name__)
plugin.declare("generalPages", key="greeting", name="Hi", url="/key_first/a")
