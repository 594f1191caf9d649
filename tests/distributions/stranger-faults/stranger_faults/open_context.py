from addonkit import Plugin, public

plugin = Plugin("open_context", __name__)


@plugin.get("/x")
@public
async def x(issue_id: str) -> str:
    return issue_id
