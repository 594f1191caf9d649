"""``addonkit backup`` and ``addonkit restore``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import progress_printer

if TYPE_CHECKING:
    from addonkit.app.archive import Manifest, Told
    from addonkit.app.backup import Backup
    from addonkit.app.restore import Restored

MEGABYTE = 1_000_000


@with_config
@click.command(short_help="Write the SQLite database and its key file to one archive.")
@click.argument("file", type=click.Path(path_type=Path))
def backup(config: Path | None, file: Path) -> None:
    """Write the SQLite database and its key file to FILE, while the add-on serves.

    FILE is a tar that only its owner can read. It appears when it is whole, and nothing is overwritten.
    """
    from addonkit.app.backup import back_up
    from addonkit.app.deployment import Deployment

    done = back_up(Deployment.read(config), file, _progress())
    click.echo(f"wrote '{done.path}', {done.size / MEGABYTE:.1f} MB: {_contents(done.manifest)}")
    click.echo(_about_keys(done))


@with_config
@click.command(short_help="Replace the SQLite database with a backup.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Set a database that is there aside, under another name.")
@click.option("--without-keys", is_flag=True, help="Restore though the keys of its secrets are lost.")
def restore(config: Path | None, file: Path, replace: bool, without_keys: bool) -> None:
    """Put the backup FILE in the place of the SQLite database, while the add-on is stopped.

    All is unpacked and checked first. Nothing is deleted: keys are added to those that are there, and a database that
    is replaced keeps its data under another name.
    """
    from addonkit.app import restore as restoring
    from addonkit.app.deployment import Deployment

    work = restoring.restore(
        Deployment.read(config), file, replace=replace, without_keys=without_keys, on_progress=_progress()
    )
    for line in _restored(asyncio.run(work)):
        click.echo(line)


def _contents(manifest: Manifest) -> str:
    return (
        f"{manifest.sites} sites, {manifest.migrations} migrations, as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"by release {manifest.release}"
    )


def _about_keys(done: Backup) -> str:
    """What whoever keeps the file has to know of its keys."""
    named, missing = (", ".join(f"'{key_id}'" for key_id in ids) for ids in (done.manifest.keys, done.missing))
    if done.manifest.has_keys:
        said = "it holds the key file as well: whoever can read it can read every secret in it"
    elif named:
        said = f"it holds no key: its secrets open with {named} of [security] encryption_keys alone, keep that apart"
    else:
        said = "it holds no key, and no secret either"
    return f"{said}; not at hand here: {missing}" if missing else said


def _restored(done: Restored) -> list[str]:
    """What was done, line by line."""
    lines = [f"restored '{done.path}': {_contents(done.manifest)}"]
    lines += [f"what was there is '{name}' now" for name in done.set_aside]
    if done.keys_added:
        lines.append(f"the archive's keys are the first in '{done.keys_added}' now")
    if done.pending:
        lines.append(f"{len(done.pending)} migrations are pending; 'addonkit serve' or 'addonkit migrate' applies them")
    return lines


def _progress() -> Told:
    """Return the progress callback of a backup or restore."""
    print_progress = progress_printer()
    return lambda what, done, total: print_progress(f"{what} {done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB")
