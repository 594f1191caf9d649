from addonkit import Plugin

plugin = Plugin("lost_link", __name__)


async def editor() -> str:
    return ""


plugin.declare("generalPages", key="x", name="X", url=plugin.link(editor))
