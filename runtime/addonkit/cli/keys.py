"""``addonkit keys``: creates, lists and rotates encryption keys."""

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


@click.group(short_help="Create, list and rotate encryption keys.")
def keys() -> None:
    """Create, list and rotate encryption keys."""


@with_config
@keys.command(short_help="Generate an encryption key.")
@click.option("--id", "key_id", help="Key id. [default: today's date and four random characters]")
@click.option("--to-file", is_flag=True, help="Append it to the key file and do not print it.")
def new(config: Path | None, key_id: str | None, to_file: bool) -> None:
    """Generate a key and print it in the form of [security] encryption_keys.

    To rotate: append it there and restart, so that every process can decrypt with it. Then move it to the front and
    restart. The add-on re-encrypts stored secrets within the hour; 'addonkit keys rotate' does it immediately.
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
        click.echo(f"created '{file.path}' with the key '{made}'")
    else:
        click.echo(f"appended '{made}' to '{file.path}'; restart, then run 'addonkit keys use {made}'")


@with_config
@keys.command(short_help="Show what each key encrypts, and the next step.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config: Path | None, as_json: bool) -> None:
    """Show what each key encrypts, and the next step. Exits with 1 if a key is missing."""
    report = asyncio.run(_report(_deployment(config)))
    if as_json:
        print_json({"keys": [use._asdict() for use in report.keys], "expired": report.expired, "next": report.next})
    else:
        _print_report(report)
    sys.exit(1 if report.missing else 0)


@with_config
@keys.command(short_help="Re-encrypt stored secrets with the first key.")
@click.option("--dry-run", is_flag=True, help="Only count; change nothing.")
@click.option(
    "--drop-lost",
    "drop",
    multiple=True,
    metavar="ID",
    help="Clear the secrets of a lost key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate(config: Path | None, dry_run: bool, drop: tuple[str, ...], as_json: bool) -> None:
    """Re-encrypt every stored secret with the first key, while the add-on serves.

    It can be stopped, repeated, and run twice at the same time. Expired former secrets are cleared. With --drop-lost,
    secrets of a lost key are cleared too: the data of their sites is kept, and their requests are refused until they
    install again. Exits with 1 if a secret could not be decrypted.
    """
    done, report = asyncio.run(_rotate(_deployment(config), dry_run, drop))
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done), "next": report.next})
    else:
        click.echo(_describe(done, report.keys[0].key_id, dry_run))
        click.echo(f"Next: {report.next}")
    sys.exit(1 if done.locked else 0)


@with_config
@keys.command(short_help="Put a key first in the key file.")
@click.argument("key_id")
def use(config: Path | None, key_id: str) -> None:
    """Put a key first in the key file, so that it encrypts from the next start on."""
    file = _key_file(config)
    file.put_first(key_id)
    click.echo(f"'{key_id}' is now first in '{file.path}'; restart, then run 'addonkit keys rotate'")


@with_config
@keys.command(short_help="Remove an unused key from the key file.")
@click.argument("key_id")
def remove(config: Path | None, key_id: str) -> None:
    """Remove a key from the key file, once it encrypts nothing."""
    from addonkit.errors import SettingsInvalid

    file = _key_file(config)
    if secrets := asyncio.run(_report(_deployment(config))).secrets_of(key_id):
        raise SettingsInvalid(f"'{key_id}' encrypts {secrets} secrets; run 'addonkit keys rotate' first")
    file.remove(key_id)
    click.echo(f"removed '{key_id}' from '{file.path}'; backups that need it contain it")


def _deployment(config: Path | None) -> Deployment:
    from addonkit.app.deployment import Deployment

    return Deployment.read(config)


def _key_file(config: Path | None) -> KeyFile:
    """Return the key file of the deployment.

    Raises:
        SettingsInvalid: Its keys are in the configuration.
    """
    from addonkit.errors import SettingsInvalid

    file = _deployment(config).key_file
    if file is None:
        raise SettingsInvalid(
            "the keys of this deployment are in [security] encryption_keys, not in a key file; change them there"
        )
    return file


async def _report(deployment: Deployment) -> KeyReport:
    from addonkit.app.key_report import key_report

    return await key_report(deployment)


async def _rotate(deployment: Deployment, dry_run: bool, drop: tuple[str, ...]) -> tuple[RotationResult, KeyReport]:
    from addonkit.app.key_report import key_report, stored_secrets
    from addonkit.tenancy.key_rotation import RotationResult, reencrypt
    from addonkit.tenancy.vault import Vault

    _refuse_drop(await key_report(deployment), drop)
    done = RotationResult()
    vault = Vault(deployment.encryption_keys())
    async with stored_secrets(deployment) as has_tables:
        if has_tables:
            done = await reencrypt(vault, drop=drop, dry_run=dry_run, on_progress=_progress())
    return done, await key_report(deployment)


def _refuse_drop(report: KeyReport, drop: tuple[str, ...]) -> None:
    """Refuse a rotation without a key, and ``--drop-lost`` for a key that is not missing.

    Raises:
        SettingsInvalid: There is no key, or a key in ``drop`` is not missing.
    """
    from addonkit.errors import SettingsInvalid

    missing = [one.key_id for one in report.missing]
    if all(one.state == "missing" for one in report.keys):
        raise SettingsInvalid(
            "there is no key to encrypt with; restore the key file, or start the add-on to create one"
        )
    for key_id in drop:
        if key_id not in missing:
            named = ", ".join(f"'{one}'" for one in missing) or "none is missing"
            raise SettingsInvalid(f"'{key_id}' is not the id of a missing key ({named}); omit it")


def _progress() -> Callable[[RotationResult], None]:
    """Return the progress callback of a rotation."""
    print_progress = progress_printer()
    return lambda done: print_progress(f"{done.checked} sites checked, {done.sites + done.former} secrets re-encrypted")


def _describe(done: RotationResult, key_id: str, dry_run: bool) -> str:
    """Describe the result of a rotation in a sentence."""
    would = "would be " if dry_run else ""
    parts = [f"{done.sites + done.former} secrets {would}re-encrypted with '{key_id}'"]
    counted = {
        f"{would}cleared as expired": done.expired,
        f"{would}cleared as lost": done.dropped,
        "cannot be decrypted and stay": done.locked,
        "were changed by other processes meanwhile": done.superseded,
    }
    parts += [f"{number} {what}" for what, number in counted.items() if number]
    return f"{', '.join(parts)}; {done.checked} sites checked"


def _print_report(report: KeyReport) -> None:
    """Print the report as a table."""
    rows = [
        {"key": one.key_id or "(no key)", "state": str(one.state), "sites": one.sites, "former": one.former}
        for one in report.keys
    ]
    print_rows(rows, ("key", "state", "sites", "former"), as_json=False)
    if report.expired:
        click.echo(f"{report.expired} former secrets have expired; 'addonkit keys rotate' clears them")
    click.echo(f"Next: {report.next}")
