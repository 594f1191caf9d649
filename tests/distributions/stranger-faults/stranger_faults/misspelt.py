from addonkit import Plugin

plugin = Plugin("misspelt", __name__)


@plugin.module("generalPages", name="Page")
async def page(issue_kee: str) -> str:
    return ""
