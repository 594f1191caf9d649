"""Changes of many jobs by an operator: which jobs they reach."""

import pytest
from addonkit.jobs import admin
from addonkit.jobs.done import move_done
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue
from addonkit.tenant_data.connection import tenant_database
from addonkit.work import JobKind, JobState, NewJob


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


@pytest.mark.parametrize("states", [(), ("dead",), ("done",), ("dead", "done"), ("held",)], ids=str)
@pytest.mark.parametrize("moved", [False, True])
async def test_drop_gives_the_number_of_deleted_jobs_of_both_tables(queue, states, moved):
    wanted = tuple(JobState(state) for state in states)
    for state in ("dead", "dead", "done", "running", "ready"):
        number = await queue.put(NewJob("p", "n", JobKind.JOB, b"{}", tenant_id=0))
        await JobRow.filter(id=number).update(state=state, finished_at=1.0 if state in ("dead", "done") else None)
    if moved:
        assert await move_done(1, after_s=0) == 1
    expected = sum(not wanted or state in wanted for state in ("dead", "dead", "done", "ready"))
    progress = []
    assert await admin.drop(JobFilter(states=wanted), progress.append) == expected
    assert progress == ([expected] if expected else [])
    assert await JobRow.filter(state="running").count() == 1


@pytest.mark.parametrize("change", [admin.retry, admin.replay], ids=["retry", "replay"])
@pytest.mark.parametrize("order", [None, "a"], ids=["unordered", "ordered"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_change_gives_the_number_of_changed_jobs_and_of_those_processed(queue, monkeypatch, change, order, count):
    monkeypatch.setattr(admin, "STEP_ROWS", 2)
    for _ in range(count):
        number = await put_dead(queue)
        await JobRow.filter(id=number).update(order_key=order)
    await queue.put(NewJob("p", "n", JobKind.WEBHOOK, b"{}", tenant_id=0))
    progress = []
    assert await change(JobFilter(), progress.append) == count
    assert progress == [min(2 * step, count) for step in range(1, (count + 1) // 2 + 1)]
