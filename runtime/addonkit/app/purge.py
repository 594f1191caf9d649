"""Asking plugins before a site's data is deleted, and deleting what is due. The database is open, with their models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from addonkit.app.deployment import Deployment
from addonkit.app.migrate import Told
from addonkit.context import Tenant
from addonkit.errors import PluginError
from addonkit.extension.discovery import choose
from addonkit.extension.registry import installed_hook
from addonkit.jobs.executor import error_place
from addonkit.log import structlog
from addonkit.tenancy.admin import retention_cutoff
from addonkit.tenant_data.adoption import sweep
from addonkit.tenant_data.purge import Progress, Purge, due, purge

PURGE_TIMEOUT_S = 60.0

log = structlog.get_logger(__name__)


def answers_to(
    hook: str, names: Iterable[str], deployment: Deployment, on_skip: Told = lambda _: None
) -> dict[str, Callable[..., Any]]:
    """The answers of these plugins to a hook, enabled or not; one that cannot be used is told and left out."""
    answers = {}
    for name in names:
        try:
            answer = installed_hook(choose(name, deployment.installed), hook)
        except PluginError as wrong:
            on_skip(str(wrong))
            continue
        if answer is not None:
            answers[name] = answer
    return answers


async def ask_plugins(
    answers: Mapping[str, Callable[..., Any]], tenant: Tenant, timeout_s: float = PURGE_TIMEOUT_S
) -> str | None:
    """Tell every plugin that a site's data goes; a sentence that names those that failed, if any did.

    Args:
        answers: Answers to ``addon_purge`` by plugin.
        tenant: The site, which is in scope.
        timeout_s: Longest time that one plugin may take.
    """
    failures = {}
    for name, answer in answers.items():
        if cause := await _failure(answer, tenant, timeout_s):
            log.warning("purge.failed", plugin=name, client_key=tenant.client_key, error=cause)
            failures[name] = cause
    if not failures:
        return None
    said = ", ".join(f"plugin '{name}' failed in addon_purge ({cause})" for name, cause in failures.items())
    return f"{said}; all rows stay, mend it and run this again"


async def purge_due(
    deployment: Deployment,
    on_skip: Told = lambda _: None,
    on_progress: Progress = lambda _table, _rows: None,
) -> list[Purge]:
    """Delete every site that uninstalled longer ago than its data is to be kept; how each went.

    What was written for numbers that adoptions have given up goes as well.

    Args:
        deployment: Whose sites.
        on_skip: Told of each plugin that cannot be asked; its rows go all the same.
        on_progress: Told a table and how many rows of the site at hand are gone.

    Raises:
        StorageUnavailable: The database did not answer; what is left goes at the next run.
    """
    moment = retention_cutoff(deployment.settings.tenants.retention_days)
    await sweep(list(deployment.installed))
    return await purge_sites(deployment, await due(moment), on_skip, on_progress, moment)


async def purge_sites(
    deployment: Deployment,
    numbers: Iterable[int],
    on_skip: Told = lambda _: None,
    on_progress: Progress = lambda _table, _rows: None,
    left_before: datetime | None = None,
) -> list[Purge]:
    """Delete sites that uninstalled; how each went. One that another process has deleted meanwhile is passed over.

    Args:
        deployment: Whose sites.
        numbers: Theirs.
        on_skip: Told of each plugin that cannot be asked; its rows go all the same.
        on_progress: Told a table and how many rows of the site at hand are gone.
        left_before: Who uninstalled after this moment stays.

    Raises:
        StorageUnavailable: The database did not answer; what is left goes at the next run.
    """
    ask = partial(ask_plugins, answers_to("addon_purge", deployment.installed, deployment, on_skip))
    done = []
    for number in numbers:
        one = await purge(number, list(deployment.installed), ask, on_progress, left_before)
        if one is not None:
            log.info("purge", client_key=one.tenant.client_key, rows=sum(one.rows.values()), failure=one.failure)
            done.append(one)
    return done


async def _failure(answer: Any, tenant: Tenant, timeout_s: float) -> str | None:
    """Ask one plugin, and give what went wrong."""
    try:
        async with asyncio.timeout(timeout_s):
            await answer(tenant=tenant)
    except Exception as wrong:
        return error_place(wrong)
    except asyncio.CancelledError as wrong:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: the plugin let a cancellation of its own get out.
        return error_place(wrong)
    return None
