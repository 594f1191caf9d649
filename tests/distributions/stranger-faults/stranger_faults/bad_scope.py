from addonkit import Plugin

plugin = Plugin("bad_scope", __name__, scopes={"REED"})
