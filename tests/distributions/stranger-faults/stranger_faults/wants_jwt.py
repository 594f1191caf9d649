from addonkit import Plugin

plugin = Plugin("wants_jwt", __name__)


@plugin.get("/x")
async def x(jwt: str) -> str:
    return jwt
