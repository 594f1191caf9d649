from addonkit import Plugin

plugin = Plugin("single_first", __name__)
plugin.declare("configurePage", key="one", name="Hi", url="/single_first/a")
