"""``addonkit migrate`` and ``addonkit makemigrations``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from addonkit.cli.group import with_config


@with_config
@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a migration is pending.")
def migrate(config: Path | None, check: bool) -> None:
    """Bring the database up to date for all installed plugins, switched on or not."""
    from addonkit.app.deployment import Deployment
    from addonkit.app.upgrade import pending_steps, upgrade

    deployment = Deployment.read(config)
    if check:
        steps = pending_steps(deployment)
        click.echo("\n".join(f"pending: {step}" for step in steps) or "nothing is pending")
        sys.exit(1 if steps else 0)
    done = asyncio.run(
        upgrade(
            deployment,
            on_progress=lambda step: click.echo(f"applied {step}"),
            on_skip=lambda said: click.echo(f"addonkit: skipped: {said}", err=True),
        )
    )
    click.echo(
        f"{len(done)} applied; the database is up to date" if done else "nothing to do; the database is up to date"
    )


@with_config
@click.command()
@click.argument("plugin")
@click.option("--name", help="What the step does, in a few words.")
def makemigrations(config: Path | None, plugin: str, name: str | None) -> None:
    """Write the next migration of PLUGIN, into its package, from what its models say."""
    from addonkit.app.deployment import Deployment
    from addonkit.app.upgrade import new_migration

    path = asyncio.run(new_migration(Deployment.read(config), plugin, name))
    click.echo(f"wrote {os.path.relpath(path)}" if path else f"the models of '{plugin}' have not changed")
