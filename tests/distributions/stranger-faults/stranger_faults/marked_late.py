from addonkit import Plugin, public

plugin = Plugin("marked_late", __name__)


@public
@plugin.get("/x")
async def x() -> str:
    return ""
