"""The folder ``deploy``: its files, the settings of its example, and what its scripts create."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
from addonkit.cli.group import cli
from addonkit.settings import Settings, read_settings

from tests.distributions.third_party import ROOT

DEPLOY = ROOT / "deploy"
SECRETS = {"database__url", "database__owner_url", "security__encryption_keys"}


def parsed(words: list[str]) -> str:
    """The full name of the command in a command line, which must be valid."""
    command, context = cli, click.Context(cli, info_name="addonkit")
    name = ""
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, name
        command, context = found, click.Context(found, context, info_name=name)
    command.make_context(name, words)
    return context.command_path


def plain_settings() -> Settings:
    """The settings of the example, without its secrets."""
    return read_settings(DEPLOY / "addon.toml")


def compose() -> str:
    """The text of ``compose.yaml``."""
    return (DEPLOY / "compose.yaml").read_text()


def shutdown_s() -> float:
    """How long the add-on of the example takes to stop at most, in seconds."""
    server = plain_settings().server
    return server.drain_s + server.stop_s


def made_secrets(folder: Path, *words: str) -> Path:
    """The folder that ``make-secrets`` creates."""
    subprocess.run([DEPLOY / "make-secrets", folder, *words], check=True, capture_output=True)
    return folder


def unit_values(file: str, key: str) -> list[str]:
    """All values of a key in a unit."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / file).read_text(), re.MULTILINE)
