from addonkit import Plugin

plugin = Plugin("alien_url", __name__)
plugin.declare("generalPages", key="x", name="X", url="/stranger_notes/panel")
