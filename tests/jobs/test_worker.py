"""The job worker of one process: its start and its stop."""

from __future__ import annotations

from addonkit.jobs.models import JobRow
from addonkit.tenant_data.scope import tenant_scope

from tests.support import job_plugin as working
from tests.support.job_plugin import until_seen


async def test_worker_releases_jobs_that_do_not_finish_before_it_stops(wire, tenant):
    with tenant_scope(tenant):
        number = await working.wait.enqueue(gate="never")
    await until_seen("never begins")
    assert not await wire.addon.background.stop(0.05)
    row = await JobRow.get(id=number)
    assert (row.state, row.starts, row.failures, row.worker) == ("ready", 0, 0, None)
