"""Statements that every worker repeats read their part of the queue by an index, however many rows wait beside it."""

from __future__ import annotations

import pytest
from addonkit.database.sql import fetch
from addonkit.jobs.query import COUNT_DUE
from addonkit.jobs.sql import BLOCKED, NEXT_DUE

pytestmark = pytest.mark.sqlite


async def plan(statement, values=()):
    rows = await fetch("EXPLAIN QUERY PLAN " + statement, list(values))
    return [row["detail"] for row in rows]


async def test_next_due_job_is_the_first_entry_of_an_index(wire):
    lines = await plan(NEXT_DUE)
    # SQLite ends a search for a minimum at the first entry only if nothing is computed with it in the same query.
    assert "SCALAR SUBQUERY 1" in lines
    assert "SEARCH addonkit_job USING INDEX addonkit_job_waiting" in lines


async def test_due_jobs_are_counted_by_partial_indexes(wire):
    lines = [line for line in await plan(COUNT_DUE, [0.0]) if "addonkit_job" in line]
    assert len(lines) == 4
    assert [line for line in lines if " INDEX " not in line] == []


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_blocked_jobs_are_read_by_their_partial_index(wire, order):
    lines = await plan(BLOCKED.format(order), [0, 1])
    assert "SEARCH addonkit_job USING INDEX addonkit_job_blocked (id>?)" in lines
