"""``addonkit tenants identities``: lists the names by which the host identifies sites, and retires one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli.database import opened
from addonkit.cli.group import with_config
from addonkit.cli.output import iso_time, print_json, print_rows
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.tenancy.identities import Identity

COLUMNS = ("tenant", "id", "kind", "value", "environment", "first_seen", "last_seen", "retired_at")


@with_config
@click.command(short_help="List the client keys, cloud ids and installations of sites.")
@click.argument("tenant", required=False)
@click.option("--retire", "retired", type=int, metavar="ID", help="Retire this identity of TENANT; its data stays.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def identities(config: Path | None, tenant: str | None, retired: int | None, as_json: bool) -> None:
    """List the names by which the host identifies TENANT, or all sites.

    A retired identity no longer names its site and is kept for history.
    """
    if retired is not None and tenant is None:
        raise click.UsageError("--retire needs TENANT")
    if retired is not None and tenant is not None:
        identity = asyncio.run(_retired(config, tenant, retired))
        click.echo(one_line(f"tenant {identity.tenant_id}: retired the {identity.kind} '{identity.value}'"))
        return
    found = asyncio.run(_listed(config, tenant))
    if as_json:
        print_json([_identity_json(identity) for identity in found])
    elif not found:
        click.echo("no identities")
    else:
        print_rows([_identity_row(identity) for identity in found], COLUMNS, False)


async def _listed(config: Path | None, text: str | None) -> list[Identity]:
    from addonkit.tenancy.identities import identities_of
    from addonkit.tenancy.names import find_tenant

    async with opened(config):
        return await identities_of((await find_tenant(text)).id if text is not None else None)


async def _retired(config: Path | None, text: str, identity_id: int) -> Identity:
    from addonkit.tenancy.identities import retire_identity
    from addonkit.tenancy.names import find_tenant

    async with opened(config):
        return await retire_identity((await find_tenant(text)).id, identity_id)


def _identity_json(identity: Identity) -> dict[str, Any]:
    """Give the JSON object of an identity; ``tenant`` is the number of the site."""
    fields = identity._asdict()
    return {"tenant": fields.pop("tenant_id"), **fields}


def _identity_row(identity: Identity) -> dict[str, Any]:
    times = {
        "first_seen": iso_time(identity.first_seen),
        "last_seen": iso_time(identity.last_seen),
        "retired_at": iso_time(identity.retired_at) if identity.retired_at else None,
    }
    return _identity_json(identity) | times
