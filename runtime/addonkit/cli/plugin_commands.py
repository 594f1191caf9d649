"""What plugins add to the command line: ``addonkit <plugin> …``. Only the plugin that is asked for is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from addonkit.app.deployment import Deployment
from addonkit.cli.group import config_option
from addonkit.errors import AddonkitError, PluginError
from addonkit.extension.discovery import Installed, cause_of, choose
from addonkit.extension.registry import ask_installed


def names_of_commands(deployment: Deployment) -> Iterator[str]:
    """Names of the enabled plugins that have commands; one that cannot be used is passed over."""
    for name in deployment.settings.addon.plugins:
        try:
            if command_of(name, deployment):
                yield name
        except AddonkitError:
            continue


def command_of(name: str, deployment: Deployment) -> click.Command | None:
    """The command or group of an enabled plugin, or None if there is no such plugin or it has no command.

    Raises:
        PluginError: It is installed and not enabled, or cannot be used.
    """
    known = deployment.installed
    if name not in deployment.settings.addon.plugins:
        if name in known:
            raise PluginError(
                f"plugin '{name}' is installed and not enabled; add it to [addon] plugins to use its commands",
                plugin=name,
            )
        return None
    commands = _commands(choose(name, known))
    if list(commands) == [name]:
        return commands[name]
    return click.Group(name, commands, help=f"Commands of the plugin '{name}'.") if commands else None


def _commands(one: Installed) -> dict[str, click.Command]:
    """What a plugin answers to ``addon_commands``, by name, each with ``--config``."""
    found: dict[str, click.Command] = {}
    for command in _answer(one):
        if not isinstance(command, click.Command) or not command.name:
            raise PluginError(
                f"plugin '{one.name}' brings {type(command).__name__} as a command, expected a click.Command with a "
                "name; decorate it with @click.command()",
                plugin=one.name,
            )
        if command.name in found:
            raise PluginError(
                f"plugin '{one.name}' brings the command '{command.name}' twice; rename one", plugin=one.name
            )
        _let_take_config(command)
        found[command.name] = command
    return found


def _answer(one: Installed) -> list[Any]:
    try:
        return list(ask_installed(one, "addon_commands") or ())
    except AddonkitError:
        raise
    except Exception as wrong:
        raise PluginError(
            f"plugin '{one.name}' failed while it was asked for its commands: {cause_of(wrong)}; mend the plugin",
            plugin=one.name,
        ) from wrong


def _let_take_config(command: click.Command) -> None:
    """Let ``--config`` stand behind a plugin's command too; the group above has read it."""
    if not any(parameter.name == "config" for parameter in command.params):
        command.params.append(config_option(expose=False))
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _let_take_config(below)
