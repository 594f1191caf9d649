"""``addonkit tenants enable`` and ``disable``: an operator decides whether a site is served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.database import opened, skips
from addonkit.cli.group import with_config
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.context import Tenant


@with_config
@click.command(short_help="Serve a disabled site again.")
@click.argument("tenant")
def enable(config: Path | None, tenant: str) -> None:
    """Serve a disabled site again, as the host's 'enabled' does; plugins get addon_enabled.

    A host's lost 'enabled' needs no command: a valid token that was issued after the disabling counts as it.
    """
    _print_state(asyncio.run(_set(config, tenant, enabled=True)))


@with_config
@click.command(short_help="Stop serving a site.")
@click.argument("tenant")
def disable(config: Path | None, tenant: str) -> None:
    """Refuse the requests of a site and hold its jobs, as after the host's 'disabled'; plugins get addon_disabled.

    The site stays disabled until 'addonkit tenants enable', or until its host sends 'installed' or 'enabled'. All data
    is kept.
    """
    _print_state(asyncio.run(_set(config, tenant, enabled=False)))


async def _set(config: Path | None, text: str, *, enabled: bool) -> Tenant:
    from addonkit.app.purge import installed_hooks
    from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
    from addonkit.tenancy.names import find_tenant
    from addonkit.tenancy.states import TenantStates

    async with opened(config) as deployment:
        site = await find_tenant(text)
        hook = "addon_enabled" if enabled else "addon_disabled"
        listeners = installed_hooks(hook, deployment.settings.addon.plugins, deployment, skips())
        states = TenantStates(enqueue_lifecycle_jobs)
        return await states.set_by_operator(site.id, enabled=enabled, listeners=list(listeners))


def _print_state(tenant: Tenant) -> None:
    click.echo(one_line(f"tenant {tenant.id} ('{tenant.key}'): {tenant.state}"))
