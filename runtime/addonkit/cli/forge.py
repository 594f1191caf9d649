"""``addonkit forge``: the manifest that carries the same plugins to Forge. Each command has a module of its own."""

from __future__ import annotations

from importlib import import_module

import click

from addonkit.cli.group import config_option

COMMANDS = {
    "check": "addonkit.cli.forge_check",
    "diff": "addonkit.cli.forge_diff",
    "manifest": "addonkit.cli.forge_manifest",
    "parity": "addonkit.cli.forge_parity",
}
"""The group's commands and the modules that define them."""


class ForgeGroup(click.Group):
    """A group whose commands are imported when they are used or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; its module has a function of its name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=ForgeGroup, params=[config_option(expose=False)], short_help="Make and check a Forge manifest.")
def forge() -> None:
    """Make and check the Forge manifest of the same plugins."""
