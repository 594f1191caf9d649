"""Purges tenants after calling ``addon_purge`` of every installed plugin.

The database must be open. The rows are deleted in ``tenant_data.purge``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from addonkit.app.deployment import Deployment
from addonkit.app.migrate import OnSkip
from addonkit.context import Tenant
from addonkit.errors import PluginError
from addonkit.extension.discovery import choose
from addonkit.extension.registry import installed_hook
from addonkit.failure import FailureFacts, FailureKind
from addonkit.jobs.executor import error_place
from addonkit.log import structlog
from addonkit.observers import report_failure
from addonkit.tenancy.admin import retention_cutoff
from addonkit.tenant_data.adoption import delete_late_rows
from addonkit.tenant_data.purge import Progress, PurgeResult, purge_tenant, tenants_due

PURGE_TIMEOUT_S = 60.0

log = structlog.get_logger(__name__)


def installed_hooks(
    hook: str, names: Iterable[str], deployment: Deployment, on_skip: OnSkip = lambda _: None
) -> dict[str, Callable[..., Any]]:
    """Return these plugins' implementations of a hook by plugin, enabled or not.

    Args:
        hook: Name of the hook.
        names: Names of the plugins.
        deployment: The deployment in which they are installed.
        on_skip: Called with the reason for each plugin that cannot be loaded, or whose models or migrations have a
            fault, so that its hook could not read its rows; the plugin is omitted.
    """
    found = {}
    for name in names:
        try:
            if (fault := deployment.storage.faults.get(name)) is not None:
                raise fault
            implementation = installed_hook(choose(name, deployment.installed), hook)
        except PluginError as exc:
            on_skip(str(exc))
            continue
        if implementation is not None:
            found[name] = implementation
    return found


async def call_purge_hooks(
    hooks: Mapping[str, Callable[..., Any]], tenant: Tenant, timeout_s: float = PURGE_TIMEOUT_S
) -> str | None:
    """Call ``addon_purge`` of each plugin; return an error message that names those that failed, if any.

    Args:
        hooks: Implementations of ``addon_purge`` by plugin.
        tenant: The tenant, in whose scope this is called.
        timeout_s: Maximum time per plugin in seconds.
    """
    failures = {}
    for name, hook in hooks.items():
        if (failure := await _failure(hook, tenant, timeout_s)) is not None:
            cause = error_place(failure)
            report_failure(failure, FailureFacts(FailureKind.PURGE, name, "addon_purge", will_retry=True), tenant)
            log.warning("purge.failed", plugin=name, tenant=tenant.key, error=cause)
            failures[name] = cause
    if not failures:
        return None
    causes = ", ".join(f"plugin '{name}' failed in addon_purge ({cause})" for name, cause in failures.items())
    return f"{causes}; no rows were deleted, fix the plugin and run this again"


async def purge_due(
    deployment: Deployment,
    on_skip: OnSkip = lambda _: None,
    on_progress: Progress = lambda _table, _rows: None,
) -> list[PurgeResult]:
    """Purge every tenant whose retention has ended, and delete late rows of numbers that adoptions gave up.

    Args:
        deployment: The deployment.
        on_skip: Called with the reason for each plugin that cannot be called; its rows are deleted all the same.
        on_progress: Called with a table and the number of rows of the current tenant deleted so far.

    Raises:
        StorageUnavailable: The database did not answer; the next run continues.
    """
    cutoff = retention_cutoff(deployment.settings.tenants.retention_days)
    await delete_late_rows(list(deployment.installed))
    return await purge_tenants(deployment, await tenants_due(cutoff), on_skip, on_progress, cutoff)


async def purge_tenants(
    deployment: Deployment,
    numbers: Iterable[int],
    on_skip: OnSkip = lambda _: None,
    on_progress: Progress = lambda _table, _rows: None,
    uninstalled_before: datetime | None = None,
) -> list[PurgeResult]:
    """Purge uninstalled tenants; one that another process purges at the same time is skipped.

    Args:
        deployment: The deployment.
        numbers: Numbers of the tenants.
        on_skip: Called with the reason for each plugin that cannot be called; its rows are deleted all the same.
        on_progress: Called with a table and the number of rows of the current tenant deleted so far.
        uninstalled_before: Refuse tenants that uninstalled later.

    Raises:
        StorageUnavailable: The database did not answer; the next run continues.
    """
    plugins = list(deployment.installed)
    call_hooks = partial(call_purge_hooks, installed_hooks("addon_purge", plugins, deployment, on_skip))
    results = []
    for number in numbers:
        result = await purge_tenant(number, plugins, call_hooks, on_progress, uninstalled_before)
        if result is not None:
            rows = sum(result.rows.values())
            log.info("tenant.purged", tenant=result.tenant.key, rows=rows, failure=result.failure)
            results.append(result)
    return results


async def _failure(hook: Callable[..., Any], tenant: Tenant, timeout_s: float) -> BaseException | None:
    """Call the hook of one plugin, and return its error; None if it succeeded."""
    try:
        async with asyncio.timeout(timeout_s):
            await hook(tenant=tenant)
    except Exception as exc:
        return exc
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # This task was not cancelled: the plugin itself raised CancelledError.
        return exc
    return None
