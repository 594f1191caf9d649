"""``addonkit tenants export``, ``purge`` and ``adopt``: commands that copy, delete or move the data of sites."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli.database import agree, opened, skips
from addonkit.cli.group import with_config
from addonkit.cli.output import print_json, print_rows, progress_printer
from addonkit.errors import AddonkitError
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.context import Tenant
    from addonkit.tenant_data.adoption import Adoption, Difference
    from addonkit.tenant_data.purge import PurgeResult


def progress(verb: str) -> Callable[[str, int], None]:
    """Return a progress callback for the rows of a table."""
    print_progress = progress_printer()
    return lambda table, rows: print_progress(f"{table}: {rows} rows {verb}")


@with_config
@click.command(short_help="Write all stored data of a site to files.")
@click.argument("tenant")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Target folder, new or empty.")
@click.option("--json", "as_json", is_flag=True, help="Print the files as a JSON array.")
def export(config: Path | None, tenant: str, folder: Path, as_json: bool) -> None:
    """Write all stored data of a site to files: JSON Lines per table, and a manifest.

    The files have the rows of all plugins, enabled or not, and no secrets. Only your user can read them.
    """
    tables = asyncio.run(_exported(config, tenant, folder))
    print_rows(tables, ("table", "plugin", "rows", "file"), as_json)


async def _exported(config: Path | None, text: str, folder: Path) -> list[dict[str, Any]]:
    from importlib.metadata import version

    from addonkit.tenancy.names import find_tenant
    from addonkit.tenant_data.export import export_tenant

    # Models show which columns are booleans. Rows of a plugin whose models cannot be imported are written as well.
    async with opened(config, lambda _: None) as deployment:
        tenant = await find_tenant(text)
        releases = {one.distribution: one.version for many in deployment.installed.values() for one in many}
        releases = {"addonkit": version("addonkit"), **releases}
        manifest = await export_tenant(tenant, list(deployment.installed), folder, releases, progress("written"))
    tables: list[dict[str, Any]] = manifest["tables"]
    return tables


@with_config
@click.command(short_help="Delete uninstalled sites with all their data.")
@click.argument("tenants", metavar="[TENANT]...", nargs=-1)
@click.option("--due", is_flag=True, help="All sites whose retention ([tenants] retention_days) has ended.")
@click.option("--gone", is_flag=True, help="All sites, or of TENANT those, that are gone; prints the evidence.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def purge(
    config: Path | None, tenants: tuple[str, ...], due: bool, gone: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete uninstalled and gone sites permanently: rows of all plugins, history and the site itself.

    Plugins are called first. If one fails, all rows of that site stay and the exit code is 1.
    """
    if (due and (gone or tenants)) or not (due or gone or tenants):
        raise click.UsageError("give either TENANT, --due or --gone")
    done = asyncio.run(_purged(config, None if due else tenants, gone, dry_run, yes))
    if as_json:
        print_json([_purge_json(one, dry_run) for one in done])
    else:
        _print_purged(done, dry_run, "no site is gone" if gone else "nothing is due")
    sys.exit(1 if any(one.failure or (not dry_run and any(one.left.values())) for one in done) else 0)


async def _purged(
    config: Path | None, texts: Sequence[str] | None, gone: bool, dry_run: bool, yes: bool
) -> list[PurgeResult]:
    """Purge tenants.

    Args:
        config: Path of the configuration.
        texts: Names of the tenants; None: those that are due.
        gone: Whether to purge only tenants that are gone; without names, all of these.
        dry_run: Whether to change nothing.
        yes: Whether it is confirmed.
    """
    from addonkit.app.purge import purge_tenants
    from addonkit.tenancy.admin import retention_cutoff
    from addonkit.tenant_data.adoption import delete_late_rows
    from addonkit.tenant_data.purge import preview_purge, tenants_due

    on_skip = skips()
    async with opened(config, on_skip) as deployment:
        moment = retention_cutoff(deployment.settings.tenants.retention_days) if texts is None else None
        numbers = await _chosen(texts or (), gone) if moment is None else await tenants_due(moment)
        found = [await preview_purge(number, list(deployment.installed)) for number in numbers]
        await _print_evidence([one.tenant for one in found])
        if dry_run:
            return found
        for one in found:
            if one.failure:
                raise AddonkitError(one.failure)
        if found:
            agree(f"{_describe([one.tenant for one in found])} will be deleted permanently", yes)
        if moment is not None:
            await delete_late_rows(list(deployment.installed))
        # Only the confirmed tenants are purged, and of these only those that have not installed again.
        return await purge_tenants(deployment, numbers, on_skip, progress("deleted"), moment)


async def _chosen(texts: Sequence[str], gone: bool) -> list[int]:
    """Return the numbers of the named tenants; with ``gone`` they must be gone, and without names these are all.

    Raises:
        AddonkitError: A tenant is unknown, or not gone.
    """
    from addonkit.context import TenantState
    from addonkit.tenancy.admin import gone_numbers
    from addonkit.tenancy.names import find_tenant

    if gone and not texts:
        return await gone_numbers()
    tenants = [await find_tenant(text) for text in texts]
    for tenant in tenants:
        if gone and tenant.state is not TenantState.GONE:
            raise AddonkitError(f"tenant {tenant.id} ('{tenant.key}') is {tenant.state}, expected one that is gone")
    return list(dict.fromkeys(tenant.id for tenant in tenants))


async def _print_evidence(tenants: Sequence[Tenant]) -> None:
    """Print to standard error why those of the tenants that are gone count as that."""
    from addonkit.context import TenantState
    from addonkit.tenancy.presence import evidence_for_purge

    for tenant in tenants:
        if tenant.state is TenantState.GONE:
            evidence = await evidence_for_purge(tenant.id)
            text = f"tenant {tenant.id} ('{tenant.key}' at {tenant.base_url}) is gone: {evidence}"
            click.echo(one_line(text), err=True)


def _describe(tenants: Sequence[Tenant]) -> str:
    """Describe tenants in a question."""
    first = one_line(", ".join(f"tenant {one.id} ('{one.key}' at {one.base_url})" for one in tenants[:5]))
    return f"{first} and {len(tenants) - 5} more" if len(tenants) > 5 else first


def _purge_json(one: PurgeResult, dry_run: bool) -> dict[str, Any]:
    return {
        "number": one.tenant.id,
        "key": one.tenant.key,
        "client_key": one.tenant.connect_key,
        "base_url": one.tenant.base_url,
        "purged": not dry_run and one.failure is None,
        "failure": one.failure,
        "rows": dict(one.rows),
        "left": dict(one.left),
    }


def _print_purged(done: Sequence[PurgeResult], dry_run: bool, nothing: str) -> None:
    if not done:
        click.echo(nothing)
    for one in done:
        state = f"not purged: {one.failure}" if one.failure else "would be purged" if dry_run else "purged"
        click.echo(one_line(f"tenant {one.tenant.id} ('{one.tenant.key}'): {state}"))
        rows = [{"table": name, "rows": rows, "left": one.left[name]} for name, rows in one.rows.items()]
        print_rows(rows, ("table", "rows", "left"), False)


@with_config
@click.command(short_help="Give a site's data to its new client key.")
@click.argument("new")
@click.option("--from", "old", metavar="OLD", required=True, help="The tenant whose data NEW gets.")
@click.option("--discard", is_flag=True, help="Delete the data of NEW.")
@click.option(
    "--despite",
    type=click.Choice(["product", "base-url", "cloud-id"]),
    multiple=True,
    help="Proceed although product, base URL or cloud id differ (repeatable).",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with this adoption.")
def adopt(
    config: Path | None,
    new: str,
    old: str,
    discard: bool,
    despite: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give the data of OLD to NEW, which is the same site with another client key after an import.

    OLD keeps its number and gets the client key and secret of NEW. Tokens of OLD's client key are then refused.
    """
    from addonkit.tenant_data.adoption import Difference

    differences = frozenset(Difference(name) for name in despite)
    plan = asyncio.run(_adopted(config, (new, old), discard, differences, dry_run, yes))
    if as_json:
        print_json([_adoption_json(plan, dry_run)])
        return
    summary = (
        f"tenant {plan.old.id} {'would get' if dry_run else 'has'} the key '{plan.new.key}' "
        f"instead of '{plan.old.key}'; the number {plan.new.id} {'would be' if dry_run else 'is'} given up"
    )
    click.echo(one_line(summary))
    tables = sorted({*plan.rows, *plan.discarded})
    rows = [{"table": t, "kept": plan.rows.get(t, 0), "discarded": plan.discarded.get(t, 0)} for t in tables]
    if rows:
        print_rows(rows, ("table", "kept", "discarded"), False)


async def _adopted(
    config: Path | None,
    names: tuple[str, str],
    discard: bool,
    despite: frozenset[Difference],
    dry_run: bool,
    yes: bool,
) -> Adoption:
    from addonkit.app.purge import call_purge_hooks, installed_hooks
    from addonkit.jobs.lifecycle import move_jobs
    from addonkit.tenancy.names import find_tenant
    from addonkit.tenant_data import adoption
    from addonkit.tenant_data.scope import tenant_scope

    on_skip = skips()
    async with opened(config, on_skip if discard and not dry_run else None) as deployment:
        plugins = list(deployment.installed)
        new, old = [await find_tenant(text) for text in names]
        plan = await adoption.plan_adoption(new.id, old.id, plugins)
        plan.check(discard, despite)
        if dry_run:
            return plan
        agree(f"tenant {old.id} ('{old.key}', {old.state}) will be {_describe([new])}", yes)
        listeners = installed_hooks("addon_installed", deployment.settings.addon.plugins, deployment, on_skip)
        if discard:
            with tenant_scope(new):
                failure = await call_purge_hooks(installed_hooks("addon_purge", plugins, deployment, on_skip), new)
            if failure:
                raise AddonkitError(failure)
        await adoption.adopt(plan, plugins, list(listeners), discard=discard, despite=despite, move_jobs=move_jobs)
        return plan


def _adoption_json(plan: Adoption, dry_run: bool) -> dict[str, Any]:
    return {
        "number": plan.old.id,
        "key": plan.new.key,
        "client_key": plan.new.connect_key,
        "was": plan.old.key,
        "given_up": plan.new.id,
        "adopted": not dry_run,
        "rows": plan.rows,
        "discarded": plan.discarded,
    }
