"""Changes of many jobs by an operator: which jobs they reach."""

import pytest
from addonkit.jobs import admin
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, NewJob


@pytest.fixture
async def queue(location):
    async with tenant_database(location, {}):
        yield JobQueue()


async def put_dead(queue):
    number = await queue.put(NewJob("p", "n", JobKind.WEBHOOK, b"{}", tenant_id=0))
    await JobRow.filter(id=number).update(state="dead")
    return number


@pytest.mark.parametrize("change", [admin.retry, admin.drop, admin.replay], ids=["retry", "drop", "replay"])
@pytest.mark.parametrize("most", [None, 2], ids=["all", "the first two"])
async def test_jobs_that_are_enqueued_during_a_change_are_not_changed(queue, monkeypatch, change, most):
    monkeypatch.setattr(admin, "STEP_ROWS", 2)
    numbers = [await put_dead(queue) for _ in range(5)]
    later = []
    real = admin.list_jobs

    async def list_jobs(*args, **options):
        if len(later) < 3:
            later.append(await put_dead(queue))
        return await real(*args, **options)

    monkeypatch.setattr(admin, "list_jobs", list_jobs)
    changed = await change(JobFilter(up_to=None if most is None else numbers[most - 1]))
    unchanged = await JobRow.filter(state="dead").order_by("id").values_list("id", flat=True)
    assert changed == (most or 5)
    assert list(unchanged) == (numbers[most:] if most else []) + later
