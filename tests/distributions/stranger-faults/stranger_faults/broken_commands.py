from addonkit import Plugin

plugin = Plugin("broken_commands", __name__)


@plugin.hook
def addon_commands() -> object:
    raise LookupError("no commands today")
