"""The runtime's own work in the background: forgetting what is done, purging what is due, sealing anew."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable

from pydantic import BaseModel

from addonkit.app.deployment import Deployment
from addonkit.app.migrate import environment_for
from addonkit.app.recovery import Recovered, Recovery
from addonkit.context import Tenant
from addonkit.errors import AddonkitError, CallForbidden, HostError
from addonkit.jobs.failures import sentence_of
from addonkit.jobs.maintenance import forget_done
from addonkit.log import structlog
from addonkit.schedule import Schedule
from addonkit.tenancy.vault import Vault
from addonkit.work import JobInvocation, JobKind, JobSpec

PURGE_TIMEOUT_S = 3600.0
LAST_WORDS = 300

log = structlog.get_logger(__name__)


class _Nothing(BaseModel):
    """The runtime's jobs have no settings of their own."""


SETTINGS = _Nothing()


def runtime_jobs(deployment: Deployment, vault: Vault) -> Iterable[JobSpec]:
    """What the runtime does again and again, in the name ``addonkit``.

    Args:
        deployment: Whose.
        vault: Its keys.
    """

    async def forget(_: JobInvocation) -> None:
        await forget_done(deployment.settings.jobs.keep_done_hours)

    async def reencrypt(_: JobInvocation) -> None:
        from addonkit.tenancy.key_rotation import (
            reencrypt as seal_anew,  # here, for it has something to do once in a while
        )

        done = await seal_anew(vault)
        if done.sites or done.former:
            log.info("keys.reencrypted", sites=done.sites, former=done.former)

    async def purge(_: JobInvocation) -> None:
        await _purge_in_a_process(deployment)

    recovery = Recovery(deployment.registry, deployment.settings.addon.base_url)
    jobs = deployment.settings.jobs

    async def recover(call: JobInvocation) -> None:
        assert call.tenant is not None  # noqa: S101 - it happens for each site
        await _recover(recovery, call.tenant, jobs.keep_done_hours)

    yield JobSpec("addonkit", "forget_done", JobKind.SCHEDULE, forget, 3, 600.0, schedule=Schedule("10m"))
    yield JobSpec("addonkit", "reseal", JobKind.SCHEDULE, reencrypt, 3, 3600.0, schedule=Schedule("1h"))
    if jobs.recover_hours and recovery.has_any():
        each = Schedule(f"{jobs.recover_hours}h", each_tenant=True)
        yield JobSpec("addonkit", "recover_webhooks", JobKind.SCHEDULE, recover, 3, 600.0, schedule=each)
    hours = deployment.settings.tenants.purge_hours
    if hours and deployment.path is not None:
        yield JobSpec("addonkit", "purge", JobKind.SCHEDULE, purge, 3, PURGE_TIMEOUT_S, schedule=Schedule(f"{hours}h"))


async def _recover(recovery: Recovery, tenant: Tenant, kept_hours: int) -> None:
    """Look as far back as it is known what was handled; a host that does not tell is asked again next time."""
    done = Recovered()
    try:
        await recovery.recover(tenant, time.time() - kept_hours * 3600, done)
    except (HostError, CallForbidden) as wrong:
        log.warning("webhooks.not_recovered", reason=sentence_of(wrong))
    if done.fresh:
        log.info("webhooks.recovered", found=done.found, fresh=done.fresh, unknown=done.unknown)


async def _purge_in_a_process(deployment: Deployment) -> None:
    """Purge what is due, in a process that imports plugins which are switched off, as this one never does.

    Raises:
        AddonkitError: It failed, with its last words.
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
        _, said = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        words = said.decode("utf-8", "replace").strip().rpartition("\n")[2][:LAST_WORDS]
        raise AddonkitError(f"'addonkit tenants purge --due' failed: {words or 'without a word'}; run it by hand")
