from addonkit import Plugin

plugin = Plugin("answered", __name__)


@plugin.hook
def addon_modules() -> list[object]:
    return []
