"""One attempt at a job: what its handler receives, and what becomes of its result."""

from __future__ import annotations

import time

import pytest
from addonkit.jobs.executor import error_text
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue, notify_local
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import JobKind, NewJob

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
