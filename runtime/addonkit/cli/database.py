"""Opens a deployment's database for a command, while processes may serve, and asks for confirmation of changes."""

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
    """Open a deployment with its database.

    Args:
        config: Path of the configuration.
        on_skip: Called with the reason for each plugin that cannot be used; None: no plugin models are loaded.

    Raises:
        SettingsInvalid: A migration of the runtime is pending, or the database is newer than the code.
        StorageUnavailable: The database cannot be opened.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.app.migrate import installed_apps
    from addonkit.cli.logs import configure

    deployment = Deployment.read(config)
    configure(deployment.settings.log)
    _refuse_pending(deployment)
    skip = on_skip or (lambda _: None)
    async with await _open(deployment, installed_apps(deployment, skip) if on_skip else {}, skip):
        yield deployment


async def _open(deployment: Deployment, apps: dict[str, AppModules], on_skip: Callable[[str], None]) -> AsyncExitStack:
    """Open the database, without the models of plugins that are refused."""
    from addonkit.tenant_data.connection import tenant_database

    while True:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(tenant_database(deployment.location, apps))
            except PluginError as exc:
                on_skip(str(exc))
                del apps[exc.plugin]
            else:
                return stack.pop_all()


def _refuse_pending(deployment: Deployment) -> None:
    """Refuse a database with a pending migration of the runtime; pending migrations of plugins are accepted."""
    from addonkit.app.migrate import pending_steps
    from addonkit.database.connection import RUNTIME_APP

    if steps := [step for step in pending_steps(deployment) if step.startswith(f"{RUNTIME_APP}.")]:
        raise SettingsInvalid(f"the database lacks '{steps[0]}'; run 'addonkit migrate'")


def skips() -> Callable[[str], None]:
    """Return a callback that prints each skipped plugin once."""
    printed: set[str] = set()

    def print_skipped(reason: str) -> None:
        if reason not in printed:
            printed.add(reason)
            click.echo(f"addonkit: skipped: {reason}", err=True)

    return print_skipped


def agree(question: str, yes: bool) -> None:
    """Ask for confirmation, unless ``--yes`` was given.

    Args:
        question: What the command is about to do, without a question mark.
        yes: Whether ``--yes`` was given.

    Raises:
        AddonkitError: It was not confirmed, or there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise AddonkitError(f"{question}; there is no terminal to confirm this, add --yes")
    if not click.confirm(f"{question}. Continue?", err=True):
        raise AddonkitError("nothing was changed, because it was not confirmed")
