"""``addonkit keys``: keys that encrypt what is stored."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime

import click


@click.group()
def keys() -> None:
    """Keys that encrypt what is stored."""


@keys.command()
def new() -> None:
    """Make a key and print it, ready for [security] encryption_keys.

    Put it first to encrypt with it from now on; keep the old ones behind it, for they still decrypt.
    """
    key_id = f"{datetime.now(UTC):%Y%m%d}{secrets.token_hex(2)}"
    click.echo(f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}")
