"""Rows of the queue that this release cannot read do not stop other jobs."""

import pytest
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.models import JobRow
from addonkit.jobs.query import list_jobs
from addonkit.tenant_data.scope import tenant_scope

from tests.support import job_plugin as working
from tests.support.job_plugin import seen, until_settled

UNREADABLE = {
    "unknown kind": ("kind = ?", "replay", "'replay' is not a valid JobKind"),
    "no kind": ("kind = ?", "", "'' is not a valid JobKind"),
    "facts that are no JSON": ("facts = ?", "{", "unexpected end of data"),
    "no facts": ("facts = ?", "", "Input is a zero-length"),
    "facts in a list": ("facts = ?", "[1]", "the facts are a JSON list, not an object"),
    "facts that are null": ("facts = ?", "null", "the facts are a JSON NoneType, not an object"),
    "text as payload": ("payload = ?", "text", "the payload is stored as str, not as bytes"),
    "number as payload": ("payload = ?", 7, "the payload is stored as int, not as bytes"),
}
SQLITE_ONLY = {"text as payload", "number as payload"}


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=[pytest.mark.sqlite] if one in SQLITE_ONLY else []) for one in UNREADABLE]
)
async def test_unreadable_job_is_held_and_others_run(wire, tenant, kind):
    change, value, reason = UNREADABLE[kind]
    with tenant_scope(tenant):
        number = await working.note.enqueue(text="unreadable", delay_s=3600)
    await wire.execute(f"UPDATE addonkit_job SET {change}, state = 'ready', due_at = 0 WHERE id = ?", value, number)
    with tenant_scope(tenant):
        for text in "abc":
            await working.note.enqueue(text=text)
    await until_settled(wire)
    assert sorted(one[0] for one in seen) == ["a", "b", "c"]
    row = await JobRow.get(id=number)
    assert (row.state, row.starts) == ("held", 0)
    assert row.error.startswith("its row cannot be read by this release of addonkit: ")
    assert reason in row.error
    assert [job.id for job in await list_jobs(JobFilter(), 10) if job.state == "held"] == [number]
