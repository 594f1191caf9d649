"""The runtime's scheduled jobs: done jobs, secrets, webhooks, gone sites, and purges."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

from pydantic import BaseModel

from addonkit.app.deployment import Deployment
from addonkit.app.gone_sites import RUN_S
from addonkit.app.migrate import environment_for
from addonkit.app.recovery import Recovery, RecoveryCounts
from addonkit.context import Tenant
from addonkit.errors import AddonkitError, CallForbidden, HostError
from addonkit.jobs.done import delete_done, drop_payloads
from addonkit.jobs.executor import error_reason
from addonkit.log import structlog
from addonkit.schedule import Schedule
from addonkit.tenancy.vault import Vault
from addonkit.work import JobInvocation, JobKind, JobSpec

RUNTIME = "addonkit"
"""Stands for the plugin in jobs of the runtime itself."""
PURGE_TIMEOUT_S = 3600.0
MAX_ERROR_LENGTH = 300

log = structlog.get_logger(__name__)


class _NoSettings(BaseModel):
    """The runtime's jobs have no settings."""


SETTINGS = _NoSettings()


def runtime_jobs(
    deployment: Deployment, vault: Vault, ask_sites: Callable[[], Awaitable[None]] | None = None
) -> Iterable[JobSpec]:
    """Return the job handlers of the runtime itself, with their schedules.

    Args:
        deployment: The deployment.
        vault: Its encryption keys.
        ask_sites: Asks sites whether they know the add-on, see ``gone_sites``; None if no site is to be asked.
    """
    jobs = deployment.settings.jobs
    recovery = Recovery(deployment.registry, deployment.settings.addon.base_urls)

    async def delete_done_jobs(_: JobInvocation) -> None:
        await drop_payloads(jobs.keep_payloads_hours)
        await delete_done(jobs.keep_done_hours)

    async def reencrypt_secrets(_: JobInvocation) -> None:
        await _reencrypt(vault)

    async def purge(_: JobInvocation) -> None:
        await _purge_in_child_process(deployment)

    async def recover(invocation: JobInvocation) -> None:
        assert invocation.tenant is not None  # noqa: S101 - its schedule is per tenant
        await _recover(recovery, invocation.tenant, jobs.keep_done_hours)

    # The names are stored in the database, as is the rule.
    yield JobSpec(RUNTIME, "forget_done", JobKind.SCHEDULE, delete_done_jobs, 3, 600.0, schedule=Schedule("10m"))
    yield JobSpec(RUNTIME, "reseal", JobKind.SCHEDULE, reencrypt_secrets, 3, 3600.0, schedule=Schedule("1h"))
    if jobs.recover_hours and recovery.has_any():
        period = f"{jobs.recover_hours}h"
        each_tenant = Schedule(period, each_tenant=True, spread=period)
        yield JobSpec(RUNTIME, "recover_webhooks", JobKind.SCHEDULE, recover, 3, 600.0, schedule=each_tenant)
    if ask_sites is not None:

        async def ask(_: JobInvocation) -> None:
            await ask_sites()

        yield JobSpec(RUNTIME, "ask_sites", JobKind.SCHEDULE, ask, 3, 600.0, schedule=Schedule(f"{RUN_S}s"))
    hours = deployment.settings.tenants.purge_hours
    if hours and deployment.path is not None:
        yield JobSpec(RUNTIME, "purge", JobKind.SCHEDULE, purge, 3, PURGE_TIMEOUT_S, schedule=Schedule(f"{hours}h"))


async def _reencrypt(vault: Vault) -> None:
    from addonkit.tenancy.key_rotation import reencrypt  # here, since most processes never run it

    done = await reencrypt(vault)
    if done.sites or done.former:
        log.info("keys.reencrypted", sites=done.sites, former=done.former)


async def _recover(recovery: Recovery, tenant: Tenant, keep_done_hours: int) -> None:
    """Recover one site's webhooks since the oldest done job that is still stored, so that none is handled twice.

    If the host cannot be reached, the job does not fail: the next run asks again.
    """
    counts = RecoveryCounts()
    try:
        await recovery.recover(tenant, time.time() - keep_done_hours * 3600, counts)
    except (HostError, CallForbidden) as exc:
        log.warning("webhooks.recovery_failed", reason=error_reason(exc))
    if counts.new:
        log.info("webhooks.recovered", found=counts.found, new=counts.new, unknown=counts.unknown)


async def _purge_in_child_process(deployment: Deployment) -> None:
    """Purge due sites in a child process, because a purge imports plugins that are not enabled.

    Raises:
        AddonkitError: The purge failed; the message contains the last line of its standard error.
    """
    command = [sys.executable, "-m", "addonkit", "tenants", "purge", "--due", "--yes", "--config", str(deployment.path)]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment_for(deployment.location),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, output = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        error = output.decode("utf-8", "replace").strip().rpartition("\n")[2][:MAX_ERROR_LENGTH]
        raise AddonkitError(
            f"'addonkit tenants purge --due' failed: {error or 'no error output'}; run it in a terminal to see more"
        )
