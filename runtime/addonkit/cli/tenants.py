"""``addonkit tenants``: which sites there are, how they stand, and what an operator notes of them.

What moves or deletes their data is in ``tenant_data``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from addonkit.cli.database import opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.output import iso_time, print_json, print_rows
from addonkit.cli.tenant_data import adopt, export, purge
from addonkit.errors import AddonkitError
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.context import Product
    from addonkit.jobs.query import JobRecord
    from addonkit.tenancy.admin import TenantStatus
    from addonkit.tenancy.history import HistoryEntry

MAX_NOTE = 2000
MAX_JOBS = 100
COLUMNS = ("number", "client_key", "product", "base_url", "state", "since", "marks", "note")


@click.group(params=[config_option(expose=False)], short_help="List sites; export, purge and adopt their data.")
def tenants() -> None:
    """Sites that installed the add-on.

    TENANT is a site's number, its client key, its base URL, or the host of that.
    """


for _command in (export, purge, adopt):
    tenants.add_command(_command)


@with_config
@tenants.command("list", short_help="List sites.")
@click.option("--state", type=click.Choice(["installed", "enabled", "disabled", "uninstalled"]), help="In this state.")
@click.option("--product", type=click.Choice(["jira", "confluence"]), help="Of this product.")
@click.option("--site", metavar="TEXT", help="With this in the client key or the address.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many rows.")
def list_(
    config: Path | None, state: str | None, product: str | None, site: str | None, as_json: bool, limit: int | None
) -> None:
    """List sites; mark those to be purged, and those that may be one site after an import."""
    from addonkit.context import TenantState
    from addonkit.tenancy.admin import list_tenants

    async def listed() -> list[TenantStatus]:
        async with opened(config) as deployment:
            return await list_tenants(
                deployment.settings.tenants.retention_days,
                state=TenantState(state) if state else None,
                product=cast("Product | None", product),
                site=site,
                limit=limit,
            )

    standings = asyncio.run(listed())
    if as_json:
        print_json([facts(standing) for standing in standings])
        return
    if not standings:
        click.echo("no sites")
        return
    print_rows(
        [{**facts(one), "since": iso_time(one.since), "marks": _marks(one)} for one in standings], COLUMNS, False
    )


def facts(standing: TenantStatus) -> dict[str, Any]:
    """What programs are told of a site."""
    tenant = standing.tenant
    return {
        "number": tenant.id,
        "client_key": tenant.client_key,
        "product": tenant.product,
        "base_url": tenant.base_url,
        "display_url": tenant.display_url,
        "state": str(tenant.state),
        "since": standing.since,
        "due": standing.is_due,
        "same_site": list(standing.same_site),
        "key": standing.key_id,
        "note": standing.note,
    }


def _marks(standing: TenantStatus) -> list[str]:
    same = ", ".join(str(number) for number in standing.same_site)
    return [*(["due"] if standing.is_due else []), *([f"same site as {same}"] if same else [])]


@with_config
@tenants.command("show", short_help="Show one site with its history, rows and jobs.")
@click.argument("tenant")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, of this site.")
def show_(config: Path | None, tenant: str, as_json: bool) -> None:
    """Show one site: what happened to it, its rows by table, and what plugins are still to be told of it."""
    said = asyncio.run(_looked_at(config, tenant))
    if as_json:
        print_json([said])
        return
    for name in ("number", "client_key", "product", "base_url", "display_url", "state", "since", "key", "note"):
        value = iso_time(said[name]) if name == "since" else said[name]
        click.echo(f"{name.replace('_', ' '):12} {one_line(str('-' if value is None else value))}")
    if said["due"]:
        click.echo("due: it uninstalled longer ago than [tenants] retention_days; 'addonkit tenants purge' deletes it")
    if said["same_site"]:
        click.echo(f"same base URL as tenant {', '.join(map(str, said['same_site']))}; see 'addonkit tenants adopt'")
    _part("history", said["history"], ("at", "what", "client_key", "base_url", "detail"))
    _part("rows", said["rows"], ("table", "rows"))
    _part("jobs", said["jobs"], ("plugin", "name", "state", "failures", "due_at", "error"))


def _part(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    click.echo(f"\n{title}" if rows else f"\nno {title}")
    if rows:
        print_rows(
            [{**row, **{n: iso_time(v) for n, v in row.items() if isinstance(v, datetime)}} for row in rows],
            columns,
            False,
        )


async def _looked_at(config: Path | None, text: str) -> dict[str, Any]:
    from addonkit.jobs.query import JobFilter, list_jobs
    from addonkit.tenancy.admin import find_tenant, tenant_status
    from addonkit.tenancy.history import history_of
    from addonkit.tenant_data.tables import count_tenant_rows
    from addonkit.work import JobState

    states = tuple(state for state in JobState if state is not JobState.DONE)
    async with opened(config) as deployment:
        tenant = await find_tenant(text)
        standing = await tenant_status(tenant.id, deployment.settings.tenants.retention_days)
        rows = await count_tenant_rows(tenant, deployment.installed)
        jobs = await list_jobs(JobFilter(tenant_id=tenant.id, states=states), MAX_JOBS, oldest_first=True)
        return {
            **facts(standing),
            "history": [_entry(entry) for entry in await history_of(tenant.id)],
            "rows": [{"table": table, "rows": number} for table, number in rows.items()],
            "jobs": [_job(job) for job in jobs],
        }


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "what": entry.what,
        "client_key": entry.client_key,
        "base_url": entry.base_url,
        "detail": entry.detail,
    }


def _job(job: JobRecord) -> dict[str, Any]:
    from datetime import UTC

    return {
        "id": job.id,
        "plugin": job.plugin,
        "name": job.name,
        "state": job.state,
        "failures": job.failures,
        "due_at": datetime.fromtimestamp(job.due_at, UTC),
        "error": (job.error or "").partition("\n")[0],
    }


@with_config
@tenants.command(short_help="Write or remove the operator's note of a site.")
@click.argument("tenant")
@click.argument("text", required=False)
@click.option("--clear", is_flag=True, help="Remove the note.")
def note(config: Path | None, tenant: str, text: str | None, clear: bool) -> None:
    """Note TEXT of a site, in place of what was noted before; it is shown to operators alone."""
    if (text is None) == (not clear):
        raise click.UsageError("say either TEXT or --clear")
    if text is not None and (not text.strip() or len(text) > MAX_NOTE):
        raise AddonkitError(f"a note of {len(text)} characters; write 1 to {MAX_NOTE}")

    async def noted() -> int:
        from addonkit.tenancy.admin import find_tenant, set_note

        async with opened(config):
            site = await find_tenant(tenant)
            await set_note(site.id, text)
            return site.id

    click.echo(f"tenant {asyncio.run(noted())}: note {'removed' if clear else 'written'}")
