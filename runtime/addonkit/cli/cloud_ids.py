"""``addonkit tenants link`` and ``backfill``: store the cloud ids of sites, by an operator or from the sites."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli.database import opened
from addonkit.cli.group import with_config
from addonkit.cli.output import count_of, print_json, progress_printer
from addonkit.errors import AddonkitError
from addonkit.text import one_line

MAX_NUMBER = 2**31 - 1

if TYPE_CHECKING:
    from addonkit.app.cloud_ids import Backfilled
    from addonkit.context import Tenant


@with_config
@click.command(short_help="Store the cloud id of a site.")
@click.argument("tenant")
@click.argument("cloud_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with this site.")
def link(config: Path | None, tenant: str, cloud_id: str, as_json: bool) -> None:
    """Store CLOUD_ID as an identity of TENANT, so that the site is known on Forge.

    A site shows its cloud id at https://<site>/_edge/tenant_info; 'addonkit tenants backfill' reads it there. One cloud
    id names one site of each product. A site that has another cloud id keeps it, and the command is refused.
    """
    from addonkit.tenancy.cloud_ids import parse_cloud_id

    try:
        known_as = parse_cloud_id(cloud_id)
    except ValueError as problem:
        raise AddonkitError(f"'{cloud_id[:80]}' is {problem}; see https://<site>/_edge/tenant_info") from None
    found, changed = asyncio.run(_linked(config, tenant, known_as))
    if as_json:
        print_json([_site_json(found) | {"cloud_id": known_as, "result": "linked" if changed else "unchanged"}])
        return
    what = "linked to the cloud id" if changed else "is linked already to the cloud id"
    click.echo(one_line(f"tenant {found.id} ('{found.key}'): {what} '{known_as}'"))


async def _linked(config: Path | None, text: str, cloud_id: str) -> tuple[Tenant, bool]:
    from addonkit.tenancy.cloud_ids import link_cloud_id
    from addonkit.tenancy.names import find_tenant

    async with opened(config):
        tenant = await find_tenant(text)
        return tenant, await link_cloud_id(tenant.id, cloud_id, "by an operator")


@with_config
@click.command(short_help="Ask sites for their cloud ids and store them.")
@click.option("--dry-run", is_flag=True, help="Ask the sites, and change nothing.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask at most N sites.")
@click.option(
    "--after", type=click.IntRange(0, MAX_NUMBER), default=0, metavar="NUMBER", help="Only sites after this number."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def backfill(config: Path | None, dry_run: bool, limit: int | None, after: int, as_json: bool) -> None:
    """Ask each site without a cloud id for it, at https://<site>/_edge/tenant_info, and store it.

    Only sites in [host] domains are asked, by the base URL that they installed with. Uninstalled and gone sites are
    skipped. The command can be repeated and interrupted: it continues with the sites that have no cloud id. The exit
    code is 1 if a site failed.
    """
    results, last = asyncio.run(_backfilled(config, dry_run, limit, after, as_json))
    if as_json:
        print_json([_result_json(one, dry_run) for one in results])
    else:
        _print_summary(results, dry_run)
    if last is not None:
        click.echo(f"stopped at the limit; continue with '--after {last}'", err=True)
    sys.exit(1 if any(one.outcome == "failed" for one in results) else 0)


async def _backfilled(
    config: Path | None, dry_run: bool, limit: int | None, after: int, as_json: bool
) -> tuple[list[Backfilled], int | None]:
    from addonkit.app.cloud_ids import Backfill
    from addonkit.hostapi.tenant_info import TenantInfo
    from addonkit.tenancy.cloud_ids import count_unlinked

    results: list[Backfilled] = []
    async with opened(config) as deployment:
        domains = deployment.settings.host.domains
        on_result = _on_result(results, await count_unlinked(after), dry_run, as_json)
        async with TenantInfo(domains, deployment.user_agent, deployment.network) as sites:
            last = await Backfill(sites, on_result, dry_run=dry_run).run(limit=limit, after=after)
    return results, last


def _on_result(results: list[Backfilled], total: int, dry_run: bool, as_json: bool) -> Callable[[Backfilled], None]:
    """Return a callback that keeps each result, prints it, and prints progress to standard error."""
    print_progress = progress_printer()

    def on_result(one: Backfilled) -> None:
        results.append(one)
        print_progress(f"{len(results)} of {total} sites")
        if not as_json and one.outcome != "skipped":
            site = f"tenant {one.tenant.id} ('{one.tenant.key}' at {one.tenant.base_url})"
            what = "would be linked to" if dry_run else "linked to"
            text = one.reason or f"{what} the cloud id '{one.cloud_id}'"
            click.echo(one_line(f"{site}: {text}"), err=one.outcome == "failed")

    return on_result


def _print_summary(results: list[Backfilled], dry_run: bool) -> None:
    counts = Counter(str(one.outcome) for one in results)
    if not results:
        click.echo("no site lacks a cloud id")
        return
    parts = [
        f"{count_of(counts['linked'], 'site')} {'would be ' if dry_run else ''}linked",
        *([f"{counts['failed']} failed"] if counts["failed"] else []),
        *([f"{counts['skipped']} skipped (uninstalled, gone or being purged)"] if counts["skipped"] else []),
    ]
    click.echo(", ".join(parts))


def _result_json(one: Backfilled, dry_run: bool) -> dict[str, Any]:
    result = "would link" if dry_run and one.outcome == "linked" else str(one.outcome)
    return _site_json(one.tenant) | {"cloud_id": one.cloud_id, "result": result, "reason": one.reason or None}


def _site_json(tenant: Tenant) -> dict[str, Any]:
    return {"tenant": tenant.id, "key": tenant.key, "product": tenant.product, "base_url": tenant.base_url}
