"""How a command reaches the rows of a deployment beside whoever serves it, and asks before it changes them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.errors import AddonkitError, PluginError, SettingsInvalid

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.database.connection import AppModules


@asynccontextmanager
async def opened(config: Path | None, on_skip: Callable[[str], None] | None = None) -> AsyncIterator[Deployment]:
    """A deployment whose database is open.

    Args:
        config: The configuration.
        on_skip: Given where the models of all installed plugins are wanted; told of each that cannot be used.

    Raises:
        SettingsInvalid: The database lacks one of the runtime's migrations, or is newer than the code.
        StorageUnavailable: It cannot be opened.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.app.migrate import installed_apps
    from addonkit.cli.logs import configure

    deployment = Deployment.read(config)
    configure(deployment.settings.log)
    _refuse_pending(deployment)
    tell = on_skip or (lambda _: None)
    async with await _open(deployment, installed_apps(deployment, tell) if on_skip else {}, tell):
        yield deployment


async def _open(deployment: Deployment, apps: dict[str, AppModules], on_skip: Callable[[str], None]) -> AsyncExitStack:
    """The open database, without the plugins whose models break the rules."""
    from addonkit.tenant_data.connection import tenant_database

    while True:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(tenant_database(deployment.location, apps))
            except PluginError as wrong:
                on_skip(str(wrong))
                del apps[wrong.plugin]
            else:
                return stack.pop_all()


def _refuse_pending(deployment: Deployment) -> None:
    """Refuse a database that lacks a step of the runtime's; plugins' tables are taken as they are found."""
    from addonkit.app.migrate import pending_steps
    from addonkit.database.connection import RUNTIME_APP

    if steps := [step for step in pending_steps(deployment) if step.startswith(f"{RUNTIME_APP}.")]:
        raise SettingsInvalid(f"the database lacks '{steps[0]}'; run 'addonkit migrate'")


def skips() -> Callable[[str], None]:
    """What tells people of each plugin that is left out, once."""
    told: set[str] = set()

    def tell(said: str) -> None:
        if said not in told:
            told.add(said)
            click.echo(f"addonkit: skipped: {said}", err=True)

    return tell


def agree(question: str, yes: bool) -> None:
    """Ask whether to go on, unless the command line has said so.

    Args:
        question: What is about to happen, without a question mark.
        yes: What ``--yes`` says.

    Raises:
        AddonkitError: Nobody agreed, or nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise AddonkitError(f"{question}: say --yes, for this is no terminal on which you could be asked")
    if not click.confirm(f"{question}. Go on?", err=True):
        raise AddonkitError("nothing was changed, as you did not agree")
