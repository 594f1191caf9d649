from addonkit import Plugin

plugin = Plugin("field_missing", __name__)
plugin.declare("generalPages", key="x", url="/field_missing/x")
