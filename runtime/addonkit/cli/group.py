"""The group of commands, and how errors are told. Plugins' own commands are in ``plugin_commands``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.errors import AddonkitError, SettingsInvalid
from addonkit.text import near_matches

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment

COMMANDS = {
    "backup": "addonkit.cli.backup",
    "check": "addonkit.cli.check",
    "descriptor": "addonkit.cli.plugins",
    "jobs": "addonkit.cli.jobs",
    "keys": "addonkit.cli.keys",
    "makemigrations": "addonkit.cli.migrate",
    "migrate": "addonkit.cli.migrate",
    "plugins": "addonkit.cli.plugins",
    "restore": "addonkit.cli.backup",
    "serve": "addonkit.cli.serve",
    "tenants": "addonkit.cli.tenants",
    "webhooks": "addonkit.cli.webhooks",
    "work": "addonkit.cli.work",
}
CONFIG = "addonkit.config"
"""Where ``--config`` is kept for all commands of one call."""


class Commands(click.Group):
    """The runtime's commands, and a group for each enabled plugin that has some; each is imported when asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note ``--config`` wherever it stands: which commands there are depends on it."""
        ctx.meta[CONFIG] = _config_in(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, those of plugins if the configuration can be read."""
        from addonkit.cli.plugin_commands import names_of_commands

        try:
            return sorted([*COMMANDS, *names_of_commands(_deployment(ctx))])
        except AddonkitError:
            return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name: the runtime's, or a plugin's, which gets the deployment as its object."""
        if cmd_name in COMMANDS:
            command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
            return command
        from addonkit.cli.logs import configure_for
        from addonkit.cli.plugin_commands import command_of

        meant = near_matches(cmd_name, COMMANDS)
        try:
            ctx.obj = ctx.obj or _deployment(ctx)
            configure_for(ctx.obj)
            found = command_of(cmd_name, ctx.obj)
        except SettingsInvalid:
            if not meant:
                raise
            found = None
        if found is None and meant:
            ctx.fail(f"no command '{cmd_name}'; did you mean '{meant[0]}'")
        return found


def _config_in(args: Sequence[str]) -> Path | None:
    """What the last ``--config`` says, before click has read it."""
    found = None
    for place, word in enumerate(args):
        if word == "--":
            break
        if word.startswith("--config="):
            found = Path(word.partition("=")[2])
        elif word == "--config" and place + 1 < len(args):
            found = Path(args[place + 1])
    return found


def _deployment(ctx: click.Context) -> Deployment:
    from addonkit.app.deployment import Deployment

    return Deployment.read(ctx.meta.get(CONFIG))


def config_option(*, expose: bool = True) -> click.Option:
    """``--config``, the same everywhere; it may stand before the command or behind it."""
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        callback=lambda ctx, _option, value: value or ctx.meta.get(CONFIG),
        expose_value=expose,
        help="The configuration. [default: what ADDONKIT_CONFIG names, else addon.toml]",
    )


def with_config(command: click.Command) -> click.Command:
    """A command that takes ``--config``."""
    command.params.append(config_option())
    return command


@click.group(
    cls=Commands,
    params=[config_option(expose=False)],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="addonkit", prog_name="addonkit")
def cli() -> None:
    """Run an Atlassian Connect add-on that is put together from plugins."""


def main() -> None:
    """The entry point: 0 is well, 1 a sentence on standard error, 2 a wrong command line, 130 an interruption."""
    try:
        code: Any = cli.main(prog_name="addonkit", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = 130
    except click.ClickException as wrong:
        wrong.show()
        code = wrong.exit_code
    except AddonkitError as wrong:
        click.echo(f"addonkit: {' '.join(str(wrong).split())}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
