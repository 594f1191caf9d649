"""A simulated Jira and Confluence on this machine, for developing add-ons: ``addonkit sandbox``.

It brings a command and nothing to the add-on itself: no module, no route, no table.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from addonkit import Plugin

if TYPE_CHECKING:
    import click

plugin = Plugin("sandbox", __name__)


@plugin.hook
def addon_commands() -> "Iterable[click.Command]":
    """The command ``sandbox``, loaded when the command line asks for it."""
    from addonkit_sandbox.command import sandbox

    return [sandbox]
