from addonkit import Plugin

plugin = Plugin("unknown_type", __name__)
plugin.declare("jiraIssueContent", key="x", name="X", url="/unknown_type/x")
