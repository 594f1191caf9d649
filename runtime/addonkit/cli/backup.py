"""``addonkit backup`` and ``addonkit restore``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import progress_printer

if TYPE_CHECKING:
    from addonkit.app.archive import Manifest, ProgressCallback
    from addonkit.app.backup import Backup
    from addonkit.app.restore import Restored

MEGABYTE = 1_000_000


@with_config
@click.command(short_help="Write the SQLite database and its key file to one archive.")
@click.argument("file", type=click.Path(path_type=Path))
def backup(config: Path | None, file: Path) -> None:
    """Write the SQLite database and its key file to FILE, while the add-on serves.

    FILE is a tar archive that only its owner can read. It appears once it is complete, and never overwrites a file.
    """
    from addonkit.app.backup import back_up
    from addonkit.app.deployment import Deployment

    done = back_up(Deployment.read(config), file, _progress())
    click.echo(f"wrote '{done.path}', {done.size / MEGABYTE:.1f} MB: {_describe(done.manifest)}")
    click.echo(_describe_keys(done))


@with_config
@click.command(short_help="Replace the SQLite database with a backup.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Keep an existing database under another name.")
@click.option("--without-keys", is_flag=True, help="Restore even if a key that the secrets need is lost.")
def restore(config: Path | None, file: Path, replace: bool, without_keys: bool) -> None:
    """Replace the SQLite database with the backup FILE, while the add-on is stopped.

    The backup is unpacked and checked first. Nothing is deleted: its keys are added to the key file, and a database
    that is replaced is kept under another name.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.app.restore import restore as restore_backup

    work = restore_backup(
        Deployment.read(config), file, replace=replace, without_keys=without_keys, on_progress=_progress()
    )
    for line in _describe_restore(asyncio.run(work)):
        click.echo(line)


def _describe(manifest: Manifest) -> str:
    return (
        f"{manifest.sites} sites, {manifest.migrations} migrations, as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"by release {manifest.release}"
    )


def _describe_keys(done: Backup) -> str:
    """Describe which keys a backup contains or needs."""
    named, missing = (", ".join(f"'{key_id}'" for key_id in ids) for ids in (done.manifest.keys, done.missing))
    if done.manifest.has_keys:
        text = "it contains the key file: anyone who can read the backup can read every secret in it"
    elif named:
        text = f"it contains no key: its secrets need {named} of [security] encryption_keys; keep the two apart"
    else:
        text = "it contains no key and no secrets"
    return f"{text}; this deployment lacks {missing}" if missing else text


def _describe_restore(done: Restored) -> list[str]:
    """Describe the result of a restore, line by line."""
    lines = [f"restored '{done.path}': {_describe(done.manifest)}"]
    lines += [f"the previous file is now '{name}'" for name in done.set_aside]
    if done.keys_added:
        lines.append(f"the archive's keys are now the first in '{done.keys_added}'")
    if done.pending:
        lines.append(f"{len(done.pending)} migrations are pending; 'addonkit serve' or 'addonkit migrate' applies them")
    return lines


def _progress() -> ProgressCallback:
    """Return the progress callback of a backup or restore."""
    print_progress = progress_printer()
    return lambda what, done, total: print_progress(f"{what} {done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB")
