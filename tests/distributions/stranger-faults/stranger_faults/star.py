from addonkit import Plugin

plugin = Plugin("star", __name__)


@plugin.get("/x")
async def x(**rest: str) -> str:
    return ""
