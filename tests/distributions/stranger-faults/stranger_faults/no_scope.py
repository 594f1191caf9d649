from addonkit import Plugin

plugin = Plugin("no_scope", __name__)
plugin.declare("webhooks", event="jira:issue_created", url="/no_scope/hook")
