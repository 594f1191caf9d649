from addonkit import Plugin

plugin = Plugin("sync_event", __name__)


@plugin.hook
def addon_installed() -> None: ...
