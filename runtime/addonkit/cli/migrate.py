"""``addonkit migrate`` and ``addonkit makemigrations``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.errors import SettingsInvalid

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment


@with_config
@click.command(short_help="Apply pending migrations of all installed plugins.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a migration is pending.")
@click.option(
    "--fake", is_flag=True, help="Repair: record the named or all pending migrations as applied without running them."
)
@click.option(
    "--compact",
    "compacted",
    is_flag=True,
    help="SQLite: then rewrite the file without its free space, and let it shrink by itself from then on.",
)
@click.argument("names", nargs=-1, metavar="[APP.NAME]...")
def migrate(config: Path | None, check: bool, fake: bool, compacted: bool, names: tuple[str, ...]) -> None:
    """Apply pending migrations of all installed plugins, enabled or not.

    All are applied in one transaction. APP.NAME, a migration such as macro.0002_votes, is for --fake only.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.app.migrate import applicable_steps, upgrade

    if names and not fake:
        raise click.UsageError(f"migrations can be named with --fake only; omit '{names[0]}'")
    if check and fake:
        raise click.UsageError("--check and --fake exclude each other; use one of them")
    if compacted and (check or fake):
        raise click.UsageError(f"--compact and {'--check' if check else '--fake'} exclude each other; use one of them")
    deployment = Deployment.read(config)
    if compacted:
        _refuse_to_compact_postgresql(deployment)
    if fake:
        _fake(deployment, names)
        return
    if check:
        steps = applicable_steps(deployment, _print_skipped)
        click.echo("\n".join(f"pending: {step}" for step in steps) or "nothing is pending")
        sys.exit(1 if steps else 0)
    done = asyncio.run(
        upgrade(
            deployment,
            on_progress=lambda step: click.echo(f"applied {step}"),
            on_skip=_print_skipped,
        )
    )
    click.echo(
        f"{len(done)} applied; the database is up to date" if done else "nothing to do; the database is up to date"
    )
    if compacted:
        _compact(deployment)


def _fake(deployment: Deployment, names: tuple[str, ...]) -> None:
    from addonkit.app.migrate import fake

    done = asyncio.run(fake(deployment, names, _print_skipped))
    for step in done:
        click.echo(f"recorded {step} as applied, without running it")
    click.echo("check that the tables match these migrations" if done else "nothing to record; none is pending")


def _refuse_to_compact_postgresql(deployment: Deployment) -> None:
    """Refuse ``--compact`` before anything is done.

    Raises:
        SettingsInvalid: The database is PostgreSQL.
    """
    if deployment.location.is_postgres:
        raise SettingsInvalid(
            "--compact is for SQLite files, but [database] url names a PostgreSQL server, whose autovacuum reuses free "
            "space; to give it back to the disk, use 'VACUUM FULL' of the server"
        )


def _compact(deployment: Deployment) -> None:
    from addonkit.database.free_space import compact

    before, after = asyncio.run(compact(deployment.location.path))
    click.echo(f"'{deployment.location.path}' has {after:,} bytes, {before - after:,} fewer than before")


def _print_skipped(reason: str) -> None:
    click.echo(f"addonkit: skipped: {reason}", err=True)


def _print_warning(warning: str) -> None:
    click.echo(f"addonkit: warning: {warning}", err=True)


@with_config
@click.command(short_help="Write a plugin's next migration from its models.")
@click.argument("plugin", required=False)
@click.option("--name", help="What the migration does, in a few words.")
@click.option("--check", is_flag=True, help="Write nothing; name released steps that fail on tables with rows.")
@click.option("--force", is_flag=True, help="Write steps that fail on tables with rows or break the previous release.")
def makemigrations(config: Path | None, plugin: str | None, name: str | None, check: bool, force: bool) -> None:
    """Write the next migration of PLUGIN from its models, into its package.

    A step that fails where the table has rows, or that the previous release cannot live with while it still serves, is
    refused with what to change. --check looks at the migrations that are there, of PLUGIN or of all installed plugins,
    and exits with 1 if it names one.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.app.plugin_migrations import faulty_migrations, new_migration

    if check and (name or force):
        raise click.UsageError("--check writes nothing; omit --name and --force")
    if plugin is None and not check:
        raise click.UsageError("name the PLUGIN whose models have changed")
    deployment = Deployment.read(config)
    if check:
        faults = asyncio.run(faulty_migrations(deployment, plugin, _print_skipped))
        click.echo("\n".join(faults) or "no step fails on tables with rows")
        sys.exit(1 if faults else 0)
    path = asyncio.run(
        new_migration(deployment, str(plugin), name, force=force, on_skip=_print_skipped, on_warning=_print_warning)
    )
    click.echo(f"wrote {os.path.relpath(path)}" if path else f"the models of '{plugin}' have not changed")
