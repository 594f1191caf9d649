"""The command group ``addonkit``: lazy loading of commands, ``--config``, plugins' commands and exit codes.

A command's module is imported when the command is used or listed. Of the plugins, only those are imported whose
commands are used or listed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.errors import AddonkitError, PluginError, SettingsInvalid
from addonkit.text import near_matches

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.extension.discovery import Installed

COMMANDS = {
    "backup": "addonkit.cli.backup",
    "check": "addonkit.cli.check",
    "descriptor": "addonkit.cli.plugins",
    "forge": "addonkit.cli.forge",
    "jobs": "addonkit.cli.jobs",
    "keys": "addonkit.cli.keys",
    "log-level": "addonkit.cli.log_level",
    "makemigrations": "addonkit.cli.migrate",
    "migrate": "addonkit.cli.migrate",
    "plugins": "addonkit.cli.plugins",
    "restore": "addonkit.cli.backup",
    "serve": "addonkit.cli.serve",
    "tenants": "addonkit.cli.tenants",
    "webhooks": "addonkit.cli.webhooks",
    "work": "addonkit.cli.work",
}
"""The runtime's commands and the modules that define them."""
CONFIG = "addonkit.config"
"""Key of the ``--config`` path in the meta dictionary of the click context, which all commands share."""


class CommandGroup(click.Group):
    """The runtime's commands, and one command or group for each enabled plugin that contributes commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store ``--config`` before click parses the arguments: the set of commands depends on the configuration."""
        ctx.meta[CONFIG] = _config_path(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; plugins' commands only if the configuration can be read."""
        try:
            return sorted([*COMMANDS, *_plugins_with_commands(_deployment(ctx))])
        except AddonkitError:
            return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command of the runtime, or a plugin's command with the deployment as the context's object."""
        if cmd_name in COMMANDS:
            command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
            return command
        from addonkit.cli.logs import configure_for

        suggestions = near_matches(cmd_name, COMMANDS)
        try:
            ctx.obj = ctx.obj or _deployment(ctx)
            configure_for(ctx.obj)
            found = plugin_command(cmd_name, ctx.obj)
        except SettingsInvalid:
            if not suggestions:
                raise
            found = None
        if found is None and suggestions:
            ctx.fail(f"no command '{cmd_name}'; did you mean '{suggestions[0]}'")
        return found


def _config_path(args: Sequence[str]) -> Path | None:
    """Return the value of the last ``--config`` on the command line."""
    found = None
    for position, word in enumerate(args):
        if word == "--":
            break
        if word.startswith("--config="):
            found = Path(word.partition("=")[2])
        elif word == "--config" and position + 1 < len(args):
            found = Path(args[position + 1])
    return found


def _deployment(ctx: click.Context) -> Deployment:
    from addonkit.app.deployment import Deployment

    return Deployment.read(ctx.meta.get(CONFIG))


def config_option(*, expose: bool = True) -> click.Option:
    """Return the ``--config`` option; it is accepted before and after the command's name."""
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        callback=lambda ctx, _option, value: value or ctx.meta.get(CONFIG),
        expose_value=expose,
        help="Configuration file. [default: the value of ADDONKIT_CONFIG, or addon.toml]",
    )


def with_config(command: click.Command) -> click.Command:
    """Add ``--config`` to a command, as its parameter ``config``."""
    command.params.append(config_option())
    return command


def plugin_command(name: str, deployment: Deployment) -> click.Command | None:
    """Return the command or group of an enabled plugin, or None if there is no such plugin or it has no command.

    Raises:
        PluginError: The plugin is installed but not enabled, or its commands cannot be loaded.
    """
    from addonkit.extension.discovery import choose

    installed = deployment.installed
    if name not in deployment.settings.addon.plugins:
        if name in installed:
            raise PluginError(
                f"plugin '{name}' is installed but not enabled; add it to [addon] plugins to use its commands",
                plugin=name,
            )
        return None
    commands = _commands_of(choose(name, installed))
    if list(commands) == [name]:
        return commands[name]
    return click.Group(name, commands, help=f"Commands of the plugin '{name}'.") if commands else None


def _plugins_with_commands(deployment: Deployment) -> Iterator[str]:
    """Yield the names of enabled plugins that have commands; plugins that fail to load are skipped."""
    for name in deployment.settings.addon.plugins:
        try:
            if plugin_command(name, deployment):
                yield name
        except AddonkitError:
            continue


def _commands_of(installed: Installed) -> dict[str, click.Command]:
    """Return what a plugin's ``addon_commands`` hook returns, by name, each command with ``--config``."""
    found: dict[str, click.Command] = {}
    for command in _ask_commands(installed):
        if not isinstance(command, click.Command) or not command.name:
            raise PluginError(
                f"addon_commands of plugin '{installed.name}' returned a {type(command).__name__}, expected a named "
                "click.Command; decorate the function with @click.command()",
                plugin=installed.name,
            )
        if command.name in found:
            raise PluginError(
                f"plugin '{installed.name}' has two commands named '{command.name}'; rename one of them",
                plugin=installed.name,
            )
        _accept_config(command)
        found[command.name] = command
    return found


def _ask_commands(installed: Installed) -> list[Any]:
    """Load one plugin and call its ``addon_commands`` hook."""
    from addonkit.extension.discovery import cause_of
    from addonkit.extension.registry import ask_installed

    try:
        return list(ask_installed(installed, "addon_commands") or ())
    except AddonkitError:
        raise
    except Exception as error:
        raise PluginError(
            f"addon_commands of plugin '{installed.name}' failed: {cause_of(error)}; fix the plugin",
            plugin=installed.name,
        ) from error


def _accept_config(command: click.Command) -> None:
    """Let a plugin's command accept ``--config``, which the group has already read."""
    if not any(parameter.name == "config" for parameter in command.params):
        command.params.append(config_option(expose=False))
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _accept_config(subcommand)


@click.group(
    cls=CommandGroup,
    params=[config_option(expose=False)],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="addonkit", prog_name="addonkit")
def cli() -> None:
    """Build and run an Atlassian Connect add-on from plugins."""


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 success, 1 failure with one sentence on standard error, 2 invalid usage, 130 interrupted.
    """
    try:
        code: Any = cli.main(prog_name="addonkit", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except AddonkitError as error:
        click.echo(f"addonkit: {' '.join(str(error).split())}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
