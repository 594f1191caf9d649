"""One attempt at a job: what its handler receives, and what becomes of its result."""

from __future__ import annotations

import time
from contextlib import nullcontext

import pytest
from addonkit.jobs import executor
from addonkit.jobs import job as job_module
from addonkit.jobs.executor import JobExecutor, error_text
from addonkit.jobs.job import LeasedJob
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue, notify_local
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, JobSpec, NewJob
from pydantic import BaseModel

from tests.support import job_plugin as working
from tests.support.job_plugin import jobs, seen, until_seen, until_settled


async def test_handler_receives_its_arguments_in_the_scope_of_its_tenant(wire, tenant):
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="one", times=2)
    await until_settled(wire)
    assert seen == [("one", 2, "hello", 1, "hello")]
    [row] = await jobs(id=number)
    assert (row.state, row.starts, row.failures, row.worker) == ("done", 1, 0, None)


async def test_retry_follows_each_failure_until_the_job_is_dead(wire, tenant):
    with tenant_scope(tenant):
        number = await working.fail.enqueue(text="it")
    for failures in (1, 2):
        await until_settled(wire)
        row = await JobRow.get(id=number)
        assert (row.state, row.failures) == ("waiting", failures)
        assert 0 < row.due_at - time.time() <= 2.0**failures
        await JobRow.filter(id=number).update(due_at=time.time())
        notify_local()
        await until_seen(("it", failures + 1, failures == 2))
    await until_settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.failures, row.starts) == ("dead", 3, 3)
    assert row.error.startswith("LookupError: nothing about it\n")
    assert "tests.support.job_plugin:fail" in row.error


async def test_give_up_makes_a_job_dead_at_once(wire, tenant):
    with tenant_scope(tenant):
        number = await working.give_up.enqueue()
    await until_settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("dead", 1)
    assert row.error.startswith("GiveUp: there is nothing to be done")


async def test_timeout_ends_a_handler_that_hangs(wire, tenant):
    with tenant_scope(tenant):
        number = await working.hang.enqueue()
    await until_settled(wire)
    row = await JobRow.get(id=number)
    assert row.state == "dead"
    assert "the handler did not finish within 0.05 s" in row.error


async def test_payload_of_an_older_version_is_upgraded(wire, tenant):
    await JobQueue().put(NewJob("working", "renamed", JobKind.JOB, b'{"name": "old"}', 1, tenant_id=tenant.id))
    await until_settled(wire)
    assert seen == ["old"]


async def test_payload_of_a_newer_version_is_held(wire, tenant):
    number = await JobQueue().put(NewJob("working", "renamed", JobKind.JOB, b"{}", 3, tenant_id=tenant.id))
    await until_settled(wire)
    row = await JobRow.get(id=number)
    assert (row.state, row.starts) == ("held", 0)
    assert row.error == "its payload has version 3, but this release of the plugin supports 2"


async def test_held_jobs_of_a_disabled_site_run_once_it_is_enabled(wire, tenant):
    await wire.host.disable()
    with tenant_scope(tenant):
        await working.note.enqueue(text="later")
    await until_settled(wire)
    assert seen == []
    assert [row.error for row in await jobs(name="note")] == ["its site is disabled"]
    await wire.host.enable()
    await until_settled(wire)
    assert [one[0] for one in seen] == ["later"]


def raised(error, depth):
    """An exception that was raised so many calls below this one."""

    def descend(left):
        if left:
            descend(left - 1)
        raise error

    try:
        descend(depth)
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(("depth", "places"), [(0, 2), (9, 11), (10, 12), (11, 12), (200, 12)])
def test_error_of_a_job_names_the_last_twelve_places(depth, places):
    lines = error_text(raised(LookupError("nothing"), depth)).splitlines()
    assert lines[0] == "LookupError: nothing"
    assert len(lines[1:]) == places
    assert {line.rpartition(":")[0] for line in lines[2:]} <= {f"  {__name__}:descend"}


@pytest.mark.parametrize(("length", "kept"), [(499, 499), (500, 500), (501, 500), (100_000, 500)])
def test_error_of_a_job_has_the_first_500_characters_of_the_message(length, kept):
    first = error_text(LookupError("x" * length)).splitlines()[0]
    assert first == "LookupError: " + "x" * kept


@pytest.mark.parametrize(("length", "kept"), [(1000, 1000), (4000, 4000), (4001, 4000), (10_000, 4000)])
def test_error_of_a_job_has_at_most_4000_characters(length, kept):
    """Besides the message and the places, the name of an exception may be long."""
    error = type("E" * length, (Exception,), {})("no")
    assert error_text(error) == ("E" * kept + ": no" if kept < 4000 else "E" * 4000)


class Settings(BaseModel):
    """No settings."""


def executor_of(error, **options):
    """An executor of one handler, which fails, and the attempts that it has seen."""
    attempts = []

    async def run(invocation):
        attempts.append(invocation.attempt)
        raise error

    spec = JobSpec("p", "n", JobKind.JOB, run, **options)
    return JobExecutor({("p", "n"): spec}, {"p": Settings()}, nullcontext), attempts


def leased_job(failures=0):
    return LeasedJob(7, 0, "p", "n", JobKind.JOB, b"{}", 1, {"identifier": "w-1"}, None, None, 1, failures, 0.0)


@pytest.mark.parametrize(
    ("failures", "attempts", "will_retry"), [(0, 3, True), (1, 3, True), (2, 3, False), (0, 1, False), (9, None, True)]
)
async def test_failure_is_reported_with_the_number_of_its_attempt(monkeypatch, failures, attempts, will_retry):
    reports = []
    monkeypatch.setattr(executor, "report_failure", lambda _exc, facts, _tenant: reports.append(facts))
    jobs, seen_attempts = executor_of(LookupError("x"), attempts=attempts)
    result = await jobs.run(leased_job(failures))
    [facts], [attempt] = reports, seen_attempts
    assert (facts.attempt, facts.will_retry, facts.job_id, facts.webhook) == (failures + 1, will_retry, 7, "w-1")
    assert (attempt.number, attempt.is_last, attempt.job_id) == (failures + 1, not will_retry, 7)
    assert result.failures == failures + 1


@pytest.mark.parametrize(
    ("retry_after_s", "pause_s"), [(None, 4.0), (1, 4.0), (60, 60.0), (7.5, 7.5), (True, 4.0), ("60", 4.0), (-5, 4.0)]
)
async def test_retry_waits_as_long_as_the_exception_asks_for_if_that_is_a_number(monkeypatch, retry_after_s, pause_s):
    monkeypatch.setattr(job_module, "backoff_s", lambda *_, **__: 4.0)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    error = LookupError("x")
    if retry_after_s is not None:
        error.retry_after_s = retry_after_s
    jobs, _ = executor_of(error)
    assert (await jobs.run(leased_job())).due_at == 5000.0 + pause_s


def test_payload_of_a_leased_job_is_not_in_its_text():
    job = LeasedJob(7, 0, "p", "n", JobKind.JOB, b"personal data", 1, {}, None, None, 1, 0, 0.0)
    assert "personal" not in repr(job)
