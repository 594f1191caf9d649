from addonkit import Plugin

plugin = Plugin("single_second", __name__)
plugin.declare("configurePage", key="two", name="Hi", url="/single_second/a")
