from addonkit import Plugin

plugin = Plugin("licensed_alone", __name__)


@plugin.get("/x", licensed=True)
async def x() -> str:
    return ""
