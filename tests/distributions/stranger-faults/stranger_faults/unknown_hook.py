from addonkit import Plugin

plugin = Plugin("unknown_hook", __name__)


@plugin.hook
async def addon_instaled() -> None: ...
