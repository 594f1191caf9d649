"""SQL statements of the job queue, written once for SQLite and PostgreSQL.

Conditions on ``state`` are literals and not bound values, because a partial index serves only queries that repeat its
condition literally.
"""

from __future__ import annotations

UNFINISHED = "('waiting', 'ready', 'blocked', 'held', 'running')"
INSERT_INTO = """INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key,
    due_at, created_at, starts, failures, deaths, state)"""
# Jobs without an order key are inserted many per statement, because each statement waits for SQLite's thread.
UNORDERED_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, 0, 0, 0, ?)"
INSERT = f"""
{INSERT_INTO}
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, CASE WHEN EXISTS (
    SELECT 1 FROM addonkit_job WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND state IN {UNFINISHED}
) THEN 'blocked' ELSE ? END) ON CONFLICT DO NOTHING
"""  # noqa: S608 - put together from constants
# A loose index scan: one index lookup per tenant that has ready jobs, however many jobs it has.
TENANTS_WITH_READY_JOBS = """
WITH RECURSIVE turn (tenant_id) AS (
    SELECT min(tenant_id) FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id > ?
    UNION ALL
    SELECT (SELECT min(j.tenant_id) FROM addonkit_job j
        WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id > turn.tenant_id)
    FROM turn WHERE turn.tenant_id IS NOT NULL
)
SELECT tenant_id FROM turn WHERE tenant_id IS NOT NULL LIMIT ?
"""
LOCKED_TENANTS = "SELECT tenant_id FROM ({}) AS turn WHERE pg_try_advisory_xact_lock(7, tenant_id)"
RUNNING_PER_TENANT = (
    "SELECT tenant_id, count(*) AS number FROM addonkit_job WHERE state = 'running' AND tenant_id IN ({}) GROUP BY 1"
)
OLDEST_READY_OF_TENANT = """SELECT * FROM (
    SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id = ? ORDER BY due_at, id LIMIT ?
) AS one"""
OLDEST_SUSPECT = "SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths > 0 ORDER BY id LIMIT 1"
HAS_READY = "SELECT EXISTS (SELECT 1 FROM addonkit_job WHERE state = 'ready' AND deaths = 0) AS found"
COUNT_SUSPECTS = "SELECT count(*) AS number FROM addonkit_job WHERE state = 'ready' AND deaths > 0"
LEASE = """
UPDATE addonkit_job SET state = 'running', starts = starts + 1, worker = ?, lease_until = ?,
    dedupe = CASE WHEN kind = 'webhook' THEN dedupe END
WHERE state = 'ready' AND id IN ({}) RETURNING id, tenant_id, plugin, name, kind, payload, version, facts, dedupe,
    order_key, starts, failures, deaths, created_at
"""
SETTLE = """
UPDATE addonkit_job SET state = ?, due_at = ?, finished_at = ?, starts = ?, failures = ?, error = ?, deaths = 0,
    worker = NULL, lease_until = NULL
WHERE id = ? AND starts = ? AND state = 'running'
"""
# The next job of an order key is the unfinished one with the lowest id. It becomes ready if none of them is running.
UNBLOCK_NEXT = f"""
UPDATE addonkit_job SET state = CASE WHEN due_at <= ? THEN 'ready' ELSE 'waiting' END WHERE state = 'blocked' AND id = (
    SELECT min(id) FROM addonkit_job
    WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND state IN {UNFINISHED} AND order_key IS NOT NULL
    HAVING sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) = 0
)
"""  # noqa: S608 - as above
UNBLOCK_ALL = f"""
UPDATE addonkit_job SET state = CASE WHEN due_at <= ? THEN 'ready' ELSE 'waiting' END
WHERE state = 'blocked' AND id IN (
    SELECT min(id) FROM addonkit_job WHERE order_key IS NOT NULL AND state IN {UNFINISHED}
    GROUP BY tenant_id, plugin, order_key HAVING sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) = 0
)
"""  # noqa: S608 - as above
# In steps, to hold SQLite's only write lock briefly; PostgreSQL skips rows that another worker has locked.
PROMOTE_DUE = """
UPDATE addonkit_job SET state = 'ready' WHERE state = 'waiting' AND id IN (
    SELECT id FROM addonkit_job WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT 500{}
)
"""
SKIP_LOCKED = " FOR UPDATE SKIP LOCKED"
NEXT_DUE = "SELECT min(due_at) AS due_at FROM addonkit_job WHERE state = 'waiting'"
RENEW_LEASES = "UPDATE addonkit_job SET lease_until = ? WHERE state = 'running' AND worker = ? AND id IN ({})"
EXPIRED_LEASES = (
    "SELECT id, tenant_id, plugin, name, starts, deaths FROM addonkit_job WHERE state = 'running' AND lease_until < ?"
)
RELEASE_LOST = """
UPDATE addonkit_job SET state = ?, deaths = deaths + 1, error = ?, finished_at = ?, worker = NULL, lease_until = NULL
WHERE id = ? AND starts = ? AND state = 'running'
"""
DELETE_DONE = """
DELETE FROM addonkit_job WHERE id IN (
    SELECT id FROM addonkit_job WHERE state = 'done' AND finished_at < ? LIMIT ?
)
"""
HOLD_DISABLED_PLUGINS = "UPDATE addonkit_job SET state = 'held', error = ? WHERE state = 'ready' AND plugin NOT IN ({})"
RELEASE_ENABLED_PLUGINS = "UPDATE addonkit_job SET state = 'ready' WHERE state = 'held' AND plugin IN ({})"
