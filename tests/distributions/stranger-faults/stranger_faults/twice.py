import click
from addonkit import Plugin

plugin = Plugin("twice", __name__)


@plugin.hook
def addon_commands() -> list[click.Command]:
    return [click.Command("a"), click.Command("a")]
