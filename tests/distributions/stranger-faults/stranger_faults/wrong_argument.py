from addonkit import Plugin

plugin = Plugin("wrong_argument", __name__)


@plugin.hook
async def addon_installed(tenent: object) -> None: ...
