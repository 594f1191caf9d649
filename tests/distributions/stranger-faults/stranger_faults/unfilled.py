from addonkit import Plugin

plugin = Plugin("unfilled", __name__)


@plugin.module("generalPages", name="Page")
async def page(colour: str) -> str:
    return ""
