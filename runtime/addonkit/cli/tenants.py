"""``addonkit tenants``: lists and shows sites, and keeps an operator's notes.

Export, purge and adoption are in ``tenant_data``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from addonkit.cli.cloud_ids import backfill, link
from addonkit.cli.database import opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.identities import identities
from addonkit.cli.output import iso_time, print_json, print_rows
from addonkit.cli.tenant_data import adopt, export, purge
from addonkit.cli.tenant_states import disable, enable
from addonkit.errors import AddonkitError
from addonkit.text import one_line
from addonkit.timestamps import utc_time

if TYPE_CHECKING:
    from addonkit.context import Product
    from addonkit.jobs.query import JobRecord
    from addonkit.tenancy.admin import TenantStatus
    from addonkit.tenancy.history import HistoryEntry

MAX_NOTE = 2000
MAX_JOBS = 100
FIELDS = (
    "number",
    "key",
    "client_key",
    "product",
    "base_url",
    "display_url",
    "help_center_url",
    "cloud_id",
    "state",
    "since",
    "unapproved_scopes",
    "encryption_key",
    "note",
)
COLUMNS = ("number", "key", "product", "base_url", "state", "since", "marks", "note")


@click.group(params=[config_option(expose=False)], short_help="List sites; export, purge and adopt their data.")
def tenants() -> None:
    """List sites that installed the add-on; export, purge and adopt their data.

    TENANT is the number, key, client key, base URL or host name of a site. A name of several sites is refused;
    'number:2' is certainly the number 2.
    """


for _command in (identities, link, backfill, export, purge, adopt, enable, disable):
    tenants.add_command(_command)


@with_config
@tenants.command("list", short_help="List sites.")
@click.option(
    "--state",
    type=click.Choice(["installed", "enabled", "disabled", "uninstalled", "gone"]),
    help="Only sites in this state.",
)
@click.option("--product", type=click.Choice(["jira", "confluence"]), help="Only sites of this product.")
@click.option("--site", metavar="TEXT", help="Only sites whose key, client key or URL contains TEXT.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of rows.")
def list_(
    config: Path | None, state: str | None, product: str | None, site: str | None, as_json: bool, limit: int | None
) -> None:
    """List sites. Sites due for a purge, and tenants that may be the same site after an import, are marked."""
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

    statuses = asyncio.run(listed())
    if as_json:
        print_json([tenant_json(status) for status in statuses])
        return
    if not statuses:
        click.echo("no sites")
        return
    print_rows(
        [{**tenant_json(one), "since": iso_time(one.since), "marks": _marks(one)} for one in statuses], COLUMNS, False
    )


def tenant_json(status: TenantStatus) -> dict[str, Any]:
    """Return the JSON object of a site."""
    tenant = status.tenant
    return {
        "number": tenant.id,
        "key": tenant.key,
        "client_key": tenant.connect_key,
        "product": tenant.product,
        "base_url": tenant.base_url,
        "display_url": tenant.display_url,
        "help_center_url": tenant.help_center_url,
        "cloud_id": status.cloud_id,
        "state": str(tenant.state),
        "since": status.since,
        "due": status.is_due,
        "same_site": list(status.same_site),
        "unapproved_scopes": list(status.unapproved),
        "encryption_key": status.key_id,
        "note": status.note,
    }


def _marks(status: TenantStatus) -> list[str]:
    same = ", ".join(str(number) for number in status.same_site)
    return [
        *(["due"] if status.is_due else []),
        *([f"same site as {same}"] if same else []),
        *(f"{scope} not approved" for scope in status.unapproved),
    ]


@with_config
@tenants.command("show", short_help="Show one site with its history, rows and jobs.")
@click.argument("tenant")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with this site.")
def show_(config: Path | None, tenant: str, as_json: bool) -> None:
    """Show one site with its history, its number of rows by table, and its pending and failed jobs."""
    details = asyncio.run(_details(config, tenant))
    if as_json:
        print_json([details])
        return
    for name in FIELDS:
        value = _shown(name, details[name])
        click.echo(f"{name.replace('_', ' '):14} {one_line(str('-' if value is None else value))}")
    if details["unapproved_scopes"]:
        click.echo(
            f"the site has not approved {' and '.join(details['unapproved_scopes'])} yet; calls that need it pause "
            "until an administrator of the site approves the update of the add-on"
        )
    if details["due"]:
        click.echo("due: its retention ([tenants] retention_days) has ended; the next purge deletes it")
    if details["evidence"] is not None:
        click.echo(one_line(f"daily call: the site {details['evidence']['text']}"))
    if details["same_site"]:
        click.echo(f"same base URL as tenant {', '.join(map(str, details['same_site']))}; see 'addonkit tenants adopt'")
    _print_section("history", details["history"], ("at", "what", "key", "base_url", "detail"))
    _print_section("rows", details["rows"], ("table", "rows"))
    _print_section("jobs", details["jobs"], ("plugin", "name", "state", "failures", "due_at", "error"))


def _shown(name: str, value: Any) -> Any:
    if name == "since":
        return iso_time(value)
    return (", ".join(value) or None) if name == "unapproved_scopes" else value


def _print_section(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    click.echo(f"\n{title}" if rows else f"\nno {title}")
    if rows:
        print_rows(
            [{**row, **{n: iso_time(v) for n, v in row.items() if isinstance(v, datetime)}} for row in rows],
            columns,
            False,
        )


async def _details(config: Path | None, text: str) -> dict[str, Any]:
    from addonkit.jobs.job_filter import JobFilter
    from addonkit.jobs.query import list_jobs
    from addonkit.tenancy.admin import tenant_status
    from addonkit.tenancy.history import history_of
    from addonkit.tenancy.names import find_tenant
    from addonkit.tenancy.presence import evidence_of
    from addonkit.tenant_data.tables import count_tenant_rows
    from addonkit.work import JobState

    states = tuple(state for state in JobState if state is not JobState.DONE)
    async with opened(config) as deployment:
        tenant = await find_tenant(text)
        status = await tenant_status(tenant.id, deployment.settings.tenants.retention_days)
        rows = await count_tenant_rows(tenant, deployment.installed)
        evidence = await evidence_of(tenant.id)
        jobs = await list_jobs(JobFilter(tenant_id=tenant.id, states=states), MAX_JOBS, oldest_first=True)
        return {
            **tenant_json(status),
            "evidence": None if evidence is None else {**evidence._asdict(), "text": str(evidence)},
            "history": [_entry(entry) for entry in await history_of(tenant.id)],
            "rows": [{"table": table, "rows": number} for table, number in rows.items()],
            "jobs": [_job(job) for job in jobs],
        }


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "what": entry.what,
        "key": entry.key,
        "base_url": entry.base_url,
        "detail": entry.detail,
    }


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "plugin": job.plugin,
        "name": job.name,
        "state": job.state,
        "failures": job.failures,
        "due_at": utc_time(job.due_at),
        "error": (job.error or "").partition("\n")[0],
    }


@with_config
@tenants.command(short_help="Write or remove the operator's note of a site.")
@click.argument("tenant")
@click.argument("text", required=False)
@click.option("--clear", is_flag=True, help="Remove the note.")
def note(config: Path | None, tenant: str, text: str | None, clear: bool) -> None:
    """Replace the note of a site with TEXT; only operators see it."""
    if (text is None) == (not clear):
        raise click.UsageError("give either TEXT or --clear")
    if text is not None and (not text.strip() or len(text) > MAX_NOTE):
        raise AddonkitError(f"the note has {len(text)} characters, expected 1 to {MAX_NOTE}")

    async def noted() -> int:
        from addonkit.tenancy.admin import set_note
        from addonkit.tenancy.names import find_tenant

        async with opened(config):
            site = await find_tenant(tenant)
            await set_note(site.id, text)
            return site.id

    click.echo(f"tenant {asyncio.run(noted())}: note {'removed' if clear else 'written'}")
