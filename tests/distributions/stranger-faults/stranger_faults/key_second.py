from addonkit import Plugin

plugin = Plugin("key_second", __name__)
plugin.declare("generalPages", key="greeting", name="Hi", url="/key_second/a")
