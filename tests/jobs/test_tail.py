"""Following the queue: which jobs a poll reports, and for how long those that are committed late are found."""

import pytest
from addonkit.database.sql import execute
from addonkit.jobs import tail
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.tail import JobTail, NewJobs
from addonkit.tenant_data.connection import tenant_database

NOW = 50_000.0
INSERT = """INSERT INTO addonkit_job (id, tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts,
    failures, deaths, created_at, finished_at) VALUES (?, 1, 'p', 'n', 'job', ?, 1, '{}', ?, 0, 0, 0, 0, ?, ?)"""


@pytest.fixture(autouse=True)
async def _database(location, clock):
    clock.set(NOW)
    async with tenant_database(location, {}):
        yield


async def put(*numbers, state="ready", finished_at=None):
    for number in numbers:
        await execute(INSERT, [number, b"{}", state, NOW, finished_at])


async def change(number, state, finished_at=None):
    await execute("UPDATE addonkit_job SET state = ?, finished_at = ? WHERE id = ?", [state, finished_at, number])


async def ids(following):
    found = await (following.fetch() if isinstance(following, NewJobs) else following.changes())
    return [job.id for job in found]


@pytest.mark.parametrize(("most", "injected"), [(500, None), (3, 3)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("behind", "is_found"), [(-1, True), (0, False)], ids=["within", "beyond"])
async def test_row_that_appears_late_is_found_if_it_is_not_too_far_behind_the_newest(
    monkeypatch, most, injected, behind, is_found
):
    if injected is not None:
        monkeypatch.setattr(tail, "OVERLAP_IDS", injected)
    new = NewJobs(JobFilter(), 0)
    await put(1000)
    assert await ids(new) == [1000]
    await put(1000 - most - behind)
    assert await ids(new) == ([1000 - most - behind] if is_found else [])
    assert await ids(new) == []


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_new_jobs_are_those_after_the_id_to_begin_with(after):
    await put(1, 2, 3)
    new = NewJobs(JobFilter(), after)
    assert await ids(new) == [number for number in (1, 2, 3) if number > after]
    await put(4)
    assert await ids(new) == [4]


@pytest.mark.parametrize(("most", "overlap"), [(2, 1), (3, 2), (4, 0)])
async def test_new_jobs_are_returned_in_steps_without_a_gap(monkeypatch, most, overlap):
    monkeypatch.setattr(tail, "MAX_ROWS", most)
    monkeypatch.setattr(tail, "OVERLAP_IDS", overlap)
    await put(*range(1, 12))
    new, steps = NewJobs(JobFilter(), 0), []
    while found := await ids(new):
        steps.append(found)
    assert [number for step in steps for number in step] == list(range(1, 12))
    assert len(steps[0]) == most + overlap
    assert all(len(step) <= most + overlap for step in steps)


@pytest.mark.parametrize(("overlap_s", "injected"), [(5.0, None), (40.0, 40.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_found"), [(-0.01, True), (0.0, True), (0.01, False)], ids=["in", "at", "out"])
@pytest.mark.parametrize("state", ["done", "dead"])
@pytest.mark.parametrize("polls", [1, 2])
async def test_job_whose_end_is_committed_late_is_reported_for_some_seconds(
    monkeypatch, clock, overlap_s, injected, late_s, is_found, state, polls
):
    """It finished before the last poll by the database's clock, and appeared after it."""
    if injected is not None:
        monkeypatch.setattr(tail, "OVERLAP_S", injected)
    await put(1)
    following = JobTail(JobFilter())
    for _ in range(polls):
        assert await ids(following) == []
    clock.set(NOW + 1)
    await change(1, state, NOW - overlap_s - late_s)
    assert await ids(following) == ([1] if is_found else [])
    assert await ids(following) == []


@pytest.mark.parametrize("state", ["done", "dead"])
async def test_job_is_reported_once_however_often_polls_find_it(clock, state):
    await put(1)
    following = JobTail(JobFilter())
    await following.changes()
    await change(1, state, NOW + 0.5)
    reports = []
    for second in range(1, 20):
        clock.set(NOW + second)
        reports += await ids(following)
    assert reports == [1]


async def test_job_that_finished_before_the_first_poll_is_not_reported(clock):
    await put(1, state="done", finished_at=NOW - 1)
    following = JobTail(JobFilter())
    for second in range(4):
        clock.set(NOW + second)
        assert await ids(following) == []


@pytest.mark.parametrize(("before", "after"), [("running", "ready"), ("held", "ready"), ("running", "blocked")])
async def test_job_that_no_list_of_a_poll_has_any_more_is_reported(before, after):
    await put(1, 2, state=before)
    following = JobTail(JobFilter())
    await following.changes()
    await change(1, after)
    assert await ids(following) == [1]
    assert await ids(following) == []


@pytest.mark.parametrize("state", ["done", "dead"])
async def test_poll_reports_at_most_ten_times_its_rows_of_finished_jobs(monkeypatch, clock, state):
    monkeypatch.setattr(tail, "MAX_ROWS", 1)
    monkeypatch.setattr(tail, "OVERLAP_IDS", 0)
    await put(*range(1, 14))
    following = JobTail(JobFilter())
    await following.changes()
    for number in range(1, 14):
        await change(number, state, NOW)
    assert await ids(following) == list(range(1, 11))


async def test_changes_are_in_the_order_of_their_ends_and_unfinished_ones_last(clock):
    await put(1, 2, 3, 4)
    following = JobTail(JobFilter())
    await following.changes()
    clock.set(NOW + 10)
    await change(1, "running")
    await change(2, "done", NOW + 3)
    await change(3, "dead", NOW + 2)
    await change(4, "held")
    assert await ids(following) == [3, 2, 1, 4]
