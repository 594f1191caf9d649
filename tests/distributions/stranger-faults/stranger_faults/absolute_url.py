from addonkit import Plugin

plugin = Plugin("absolute_url", __name__)
plugin.declare("adminPages", key="x", name="X", url="https://example.com/x")
