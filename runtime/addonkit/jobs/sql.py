"""SQL statements of the job queue, written once for SQLite and PostgreSQL.

Conditions on ``state`` are literals and not bound values, because a partial index serves only queries that repeat its
condition literally. Times are those of the database's clock: a process whose clock is wrong must not take jobs from
others, nor start them early or late.
"""

from __future__ import annotations

from typing import Any

from addonkit.tenancy.models import TENANT_COLUMNS

UNFINISHED = "('waiting', 'ready', 'blocked', 'held', 'running')"
INSERT_INTO = """INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key,
    due_at, created_at, starts, failures, deaths, request_id, traceparent, state)"""
# Jobs without an order key are inserted many at a time: SQLite's thread waits for its turn once per statement, and
# PostgreSQL counts the jobs once per statement.
UNORDERED_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, NULL, UNIX_TIME() + ?, UNIX_TIME(), 0, 0, 0, ?, ?, ?)"
INSERT = f"""
{INSERT_INTO}
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, UNIX_TIME() + ?, UNIX_TIME(), 0, 0, 0, ?, ?, CASE WHEN EXISTS (
    SELECT 1 FROM addonkit_job WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND state IN {UNFINISHED}
) THEN 'blocked' ELSE ? END) ON CONFLICT DO NOTHING
"""  # noqa: S608 - put together from constants
# Tenants with ready jobs: those after the last one of the previous turn, then the others. Two loose index scans: one
# index lookup per tenant, however many jobs it has, and none after the last tenant that is wanted.
TENANTS_IN_TURN = """
WITH RECURSIVE later (tenant_id) AS (
    SELECT min(tenant_id) FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id > ?
    UNION ALL
    SELECT (SELECT min(j.tenant_id) FROM addonkit_job j
        WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id > later.tenant_id)
    FROM later WHERE later.tenant_id IS NOT NULL
), earlier (tenant_id) AS (
    SELECT min(tenant_id) FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id <= ?
    UNION ALL
    SELECT (SELECT min(j.tenant_id) FROM addonkit_job j
        WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id > earlier.tenant_id AND j.tenant_id <= ?)
    FROM earlier WHERE earlier.tenant_id IS NOT NULL
)
SELECT tenant_id FROM (SELECT tenant_id FROM later UNION ALL SELECT tenant_id FROM earlier) AS turn
WHERE tenant_id IS NOT NULL{} LIMIT ?
"""
LOCKED = " AND pg_try_advisory_xact_lock(7, tenant_id)"
RUNNING_PER_TENANT = (
    "SELECT tenant_id, count(*) AS number FROM addonkit_job WHERE state = 'running' AND tenant_id IN ({}) GROUP BY 1"
)
OLDEST_READY_OF_TENANT = """SELECT * FROM (
    SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id = ? ORDER BY due_at, id LIMIT ?
) AS one"""
# The same statement for any tenants: the running jobs of each are counted, and its oldest ready ones selected.
OLDEST_READY_IN_TURN = """SELECT one.id FROM unnest(?::int[]) WITH ORDINALITY AS turn (tenant_id, place), LATERAL (
    SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id = turn.tenant_id
    ORDER BY due_at, id LIMIT greatest(0, least(?::bigint, ?::bigint - (
        SELECT count(*) FROM addonkit_job AS r WHERE r.state = 'running' AND r.tenant_id = turn.tenant_id)))
) AS one ORDER BY turn.place LIMIT ?::bigint"""
OLDEST_SUSPECT = "SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths > 0 ORDER BY id LIMIT 1{}"
JOB_ID = "SELECT id FROM addonkit_job WHERE id = ?"
HAS_READY = "SELECT EXISTS (SELECT 1 FROM addonkit_job WHERE state = 'ready' AND deaths = 0) AS found"
HAS_SUSPECTS = "SELECT EXISTS (SELECT 1 FROM addonkit_job WHERE state = 'ready' AND deaths > 0) AS found"
# A state that is only checked again is joined to an empty text, so that no index on states serves it: statistics of
# another time let PostgreSQL expect no ready jobs, read all of them, and run the subquery once for each. For the same
# reason it gets the ids as an array, which it makes once.
IDS_POSTGRES, IDS_SQLITE = "= ANY (ARRAY ({}))", "IN ({})"
LEASE = """
UPDATE addonkit_job SET state = 'running', starts = starts + 1, worker = ?, lease_until = UNIX_TIME() + ?,
    dedupe = CASE WHEN kind = 'webhook' THEN dedupe END
WHERE state || '' = 'ready' AND id {} RETURNING id, tenant_id, plugin, name, kind, payload, version, facts, dedupe,
    order_key, starts, failures, deaths, created_at, request_id, traceparent,
    UNIX_TIME() - due_at AS waited_s
"""
# The same with the tenant of each job, for PostgreSQL: SQLite has no UPDATE within WITH.
LEASE_WITH_TENANTS = f"""
WITH leased AS ({LEASE})
SELECT leased.*, {TENANT_COLUMNS.removeprefix("id, ")}
FROM leased LEFT JOIN addonkit_tenant AS t ON t.id = leased.tenant_id
"""  # noqa: S608 - as above
TENANTS = f"SELECT {TENANT_COLUMNS} FROM addonkit_tenant WHERE id IN ({{}})"  # noqa: S608 - as above
# All results of a cycle in one statement: its rows are arrays on PostgreSQL, and values on SQLite.
SETTLE = """
UPDATE addonkit_job AS j SET state = v.state, due_at = UNIX_TIME() + v.pause_s,
    finished_at = CASE WHEN v.is_final THEN UNIX_TIME() END, starts = v.counted, failures = v.failures,
    error = v.error, deaths = v.deaths, worker = NULL, lease_until = NULL
FROM {} WHERE j.id = v.id AND j.starts = v.starts AND j.state || '' = 'running'
"""
SETTLED_ARRAYS = """unnest(?::text[], ?::float8[], ?::bool[], ?::int[], ?::int[], ?::text[], ?::int[], ?::bigint[],
    ?::int[]) AS v (state, pause_s, is_final, counted, failures, error, deaths, id, starts)"""
SETTLED_VALUES = """(SELECT column1 AS state, column2 AS pause_s, column3 AS is_final, column4 AS counted,
    column5 AS failures, column6 AS error, column7 AS deaths, column8 AS id, column9 AS starts FROM (VALUES {})) AS v"""
# The next job of an order key is the unfinished one with the lowest id; it may run if it was only blocked. A later one
# may run if an earlier one was retried meanwhile. The inner LIMIT makes both databases look through the few running
# jobs of the tenant, and not through the backlog of the order key.
UNBLOCK_NEXT = f"""
UPDATE addonkit_job SET state = CASE WHEN due_at <= UNIX_TIME() THEN 'ready' ELSE 'waiting' END
WHERE state = 'blocked' AND id = (
    SELECT min(id) FROM addonkit_job
    WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND state IN {UNFINISHED} AND order_key IS NOT NULL
) AND NOT EXISTS (
    SELECT 1 FROM (SELECT plugin, order_key FROM addonkit_job WHERE state = 'running' AND tenant_id = ? LIMIT 100000)
        AS others
    WHERE others.plugin = ? AND others.order_key = ?
)
"""  # noqa: S608 - as above
# One index lookup for each blocked job of a step, however many unfinished jobs there are.
BLOCKED = f"""
SELECT b.id, b.tenant_id, b.plugin, b.order_key, b.id = (
    SELECT min(o.id) FROM addonkit_job o WHERE o.tenant_id = b.tenant_id AND o.plugin = b.plugin
    AND o.order_key = b.order_key AND o.order_key IS NOT NULL AND o.state IN {UNFINISHED}
) AS is_first FROM (
    SELECT id, tenant_id, plugin, order_key FROM addonkit_job
    WHERE state = 'blocked' AND id > ? ORDER BY id {{}} LIMIT ?
) AS b
"""  # noqa: S608 - as above
LOCK_UNBLOCKING = "SELECT pg_try_advisory_xact_lock(7, -1) AS is_locked"
"""Tenants' locks have the same first number and the tenant's number, which is never negative."""
# In steps, so that SQLite's one write lock is held briefly; PostgreSQL skips rows that another worker has locked.
PROMOTE_DUE = """
UPDATE addonkit_job SET state = 'ready' WHERE state = 'waiting' AND id IN (
    SELECT id FROM addonkit_job WHERE state = 'waiting' AND due_at <= UNIX_TIME() ORDER BY due_at LIMIT 500{}
)
"""
SKIP_LOCKED = " FOR UPDATE SKIP LOCKED"
# A subquery: SQLite finds a minimum by the index only where nothing is computed with it.
NEXT_DUE = "SELECT (SELECT min(due_at) FROM addonkit_job WHERE state = 'waiting') - UNIX_TIME() AS due_in_s"
RENEW_LEASES = (
    "UPDATE addonkit_job SET lease_until = UNIX_TIME() + ? WHERE state = 'running' AND worker = ? AND id IN ({})"
)
LEAVE_JOBS = """
UPDATE addonkit_job SET worker = ?, lease_until = UNIX_TIME() + ? WHERE state = 'running' AND worker = ? AND id IN ({})
"""
RUNNING = """
SELECT id, tenant_id, plugin, name, order_key, starts, deaths, worker, request_id FROM addonkit_job
WHERE state = 'running'
"""
EXPIRED_LEASES = f"{RUNNING} AND lease_until < UNIX_TIME() + ?"
LEASES_OF_WORKER = f"{RUNNING} AND worker = ?"
RELEASE_LOST = """
UPDATE addonkit_job SET state = ?, deaths = ?, error = ?, finished_at = CASE WHEN ? THEN UNIX_TIME() END,
    worker = NULL, lease_until = NULL
WHERE id = ? AND starts = ? AND state = 'running'
"""
HOLD_DISABLED_PLUGINS = """
UPDATE addonkit_job SET state = 'held', error = ? WHERE state = 'ready' AND id IN (
    SELECT id FROM addonkit_job WHERE state = 'ready' AND plugin NOT IN ({}) LIMIT 1000
)
"""
RELEASE_ENABLED_PLUGINS = """
UPDATE addonkit_job SET state = 'ready' WHERE state = 'held' AND id IN (
    SELECT id FROM addonkit_job WHERE state = 'held' AND plugin IN ({}) LIMIT 1000
)
"""


def unblock_values(tenant_id: int, plugin: str, order_key: str | None) -> list[Any]:
    """Give the bind values of UNBLOCK_NEXT."""
    return [tenant_id, plugin, order_key, tenant_id, plugin, order_key]
