"""``addonkit keys``: keys that encrypt what is stored, and how one follows another."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json, print_rows, progress_printer

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.app.key_file import KeyFile
    from addonkit.app.key_report import KeyReport
    from addonkit.tenancy.key_rotation import RotationResult

STATES = {
    "seals": "seals",
    "opens": "opens",
    "lost": "not at hand",
    "false": "another key of this id is at hand",
}


@click.group(short_help="Create, list and rotate encryption keys.")
def keys() -> None:
    """Keys that encrypt what is stored."""


@with_config
@keys.command(short_help="Generate an encryption key.")
@click.option("--id", "key_id", help="Its id. [default: today's date and four characters of chance]")
@click.option("--to-file", is_flag=True, help="Add it to the key file, as the last, and do not print it.")
def new(config: Path | None, key_id: str | None, to_file: bool) -> None:
    """Make a key and print it, ready for [security] encryption_keys.

    Name it there as the last and restart, so that every process can open what will be sealed with it; then move it
    first and restart, and run 'addonkit keys rotate'.
    """
    from addonkit.app.key_file import new_key

    text = new_key(key_id)
    if not to_file:
        click.echo(text)
        return
    file = _key_file(config)
    file.add(text)
    made = text.partition(":")[0]
    if len(file.keys()) == 1:
        click.echo(f"made '{file.path}' with the key '{made}'")
    else:
        click.echo(f"added '{made}' to '{file.path}', as the last; restart, then run 'addonkit keys use {made}'")


@with_config
@keys.command(short_help="Show what each key encrypts, and the next step.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(config: Path | None, as_json: bool) -> None:
    """Tell what each key seals, and what to do next. Exits with 1 if a key is missing."""
    report = asyncio.run(_report(_deployment(config)))
    if as_json:
        print_json({"keys": [asdict(use) for use in report.keys], "expired": report.expired, "next": report.next})
    else:
        _show(report)
    sys.exit(1 if report.missing else 0)


@with_config
@keys.command(short_help="Re-encrypt stored secrets with the first key.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--drop-lost", "drop", multiple=True, metavar="ID", help="Clear what a key sealed that is lost for good.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rotate(config: Path | None, dry_run: bool, drop: tuple[str, ...], as_json: bool) -> None:
    """Seal every stored secret with the first key, while the add-on serves.

    It may be stopped, run again, and run twice at once. Former secrets that have expired are cleared. With --drop-lost,
    sites whose secret no key at hand opens are cleared too: each is refused until it installs anew, and keeps its data.
    Exits with 1 if something could not be opened.
    """
    done, report = asyncio.run(_rotated(_deployment(config), dry_run, drop))
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done), "next": report.next})
    else:
        click.echo(_told(done, report.keys[0].key_id, dry_run))
        click.echo(f"Next: {report.next}")
    sys.exit(1 if done.locked else 0)


@with_config
@keys.command(short_help="Put a key first in the key file.")
@click.argument("key_id")
def use(config: Path | None, key_id: str) -> None:
    """Put a key of the key file first, so that it seals from the next start on."""
    file = _key_file(config)
    file.put_first(key_id)
    click.echo(f"'{key_id}' is first in '{file.path}'; restart, then run 'addonkit keys rotate'")


@with_config
@keys.command(short_help="Remove an unused key from the key file.")
@click.argument("key_id")
def remove(config: Path | None, key_id: str) -> None:
    """Take a key out of the key file, once it seals nothing any more."""
    from addonkit.errors import SettingsInvalid

    file = _key_file(config)
    if sealed := asyncio.run(_report(_deployment(config))).secrets_of(key_id):
        raise SettingsInvalid(f"'{key_id}' seals {sealed} secrets; run 'addonkit keys rotate' first")
    file.remove(key_id)
    click.echo(f"took '{key_id}' out of '{file.path}'; backups that need it hold it themselves")


def _deployment(config: Path | None) -> Deployment:
    from addonkit.app.deployment import Deployment

    return Deployment.read(config)


def _key_file(config: Path | None) -> KeyFile:
    """The key file of the deployment.

    Raises:
        SettingsInvalid: Its keys are in the configuration.
    """
    from addonkit.errors import SettingsInvalid

    file = _deployment(config).key_file
    if file is None:
        raise SettingsInvalid(
            "the keys of this deployment are in [security] encryption_keys and not in a key file; change them there"
        )
    return file


async def _report(deployment: Deployment) -> KeyReport:
    from addonkit.app.key_report import key_report

    return await key_report(deployment)


async def _rotated(deployment: Deployment, dry_run: bool, drop: tuple[str, ...]) -> tuple[RotationResult, KeyReport]:
    from addonkit.app.key_report import key_report, stored_secrets
    from addonkit.tenancy.key_rotation import RotationResult, reencrypt
    from addonkit.tenancy.vault import Vault

    _refuse_drop(await key_report(deployment), drop)
    done = RotationResult()
    vault = Vault(deployment.encryption_keys())
    async with stored_secrets(deployment) as there:
        if there:
            done = await reencrypt(vault, drop=drop, dry_run=dry_run, on_progress=_progress())
    return done, await key_report(deployment)


def _refuse_drop(report: KeyReport, drop: tuple[str, ...]) -> None:
    """Refuse to rotate without a key, and to drop what is not lost.

    Raises:
        SettingsInvalid: There is no key, or a name among those to be dropped is of none that is missing.
    """
    from addonkit.errors import SettingsInvalid

    missing = [one.key_id for one in report.missing]
    if all(one.state == "lost" for one in report.keys):
        raise SettingsInvalid("there is no key to seal with; bring back the key file, or let the first start make one")
    for key_id in drop:
        if key_id not in missing:
            named = ", ".join(f"'{one}'" for one in missing) or "none is missing"
            raise SettingsInvalid(f"'{key_id}' is not the id of a missing key ({named}); leave it out")


def _progress() -> Callable[[RotationResult], None]:
    """Return the progress callback of a rotation."""
    print_progress = progress_printer()
    return lambda done: print_progress(
        f"{done.looked_at} sites looked at, {done.sites + done.former} secrets re-sealed"
    )


def _told(done: RotationResult, key_id: str, dry_run: bool) -> str:
    """What a rotation did, in words."""
    would = "would be " if dry_run else ""
    parts = [f"{done.sites + done.former} secrets {would}sealed with '{key_id}'"]
    counted = {
        f"{would}cleared as expired": done.expired,
        f"{would}cleared as lost": done.dropped,
        "open with no key at hand and stay": done.locked,
        "were changed by others meanwhile": done.overtaken,
    }
    parts += [f"{number} {what}" for what, number in counted.items() if number]
    return f"{', '.join(parts)}; {done.looked_at} sites looked at"


def _show(report: KeyReport) -> None:
    """The report for people."""
    rows = [
        {"key": one.key_id or "(no key)", "state": STATES[one.state], "sites": one.sites, "former": one.former}
        for one in report.keys
    ]
    print_rows(rows, ("key", "state", "sites", "former"), as_json=False)
    if report.expired:
        click.echo(f"{report.expired} former secrets have expired; 'addonkit keys rotate' clears them")
    click.echo(f"Next: {report.next}")
