"""A simulated Jira and Confluence on this machine, for developing add-ons: ``addonkit sandbox``.

The plugin adds a command and nothing to the add-on itself: no modules, no routes, no tables.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from addonkit import Plugin

if TYPE_CHECKING:
    import click

plugin = Plugin("sandbox", __name__)


@plugin.hook
def addon_commands() -> "Iterable[click.Command]":
    """Return the command ``sandbox``; its module is imported only when commands are listed or run."""
    from addonkit_sandbox.command import sandbox

    return [sandbox]
