"""The statements of the queue, the same on both databases but for the marks of their values.

Conditions on ``state`` are written out, since an index that lies on a part of the rows serves no other ones.
"""

from __future__ import annotations

UNFINISHED = "('waiting', 'ready', 'blocked', 'held', 'running')"
INTO = """INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key, due_at,
    created_at, starts, failures, deaths, state)"""
# Of jobs without an order, many in one statement: for each statement that SQLite runs, its thread waits for its turn.
UNORDERED = "(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, 0, 0, 0, ?)"
INSERT = f"""
{INTO}
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, CASE WHEN EXISTS (
    SELECT 1 FROM addonkit_job WHERE tenant_id = ? AND plugin = ? AND order_key = ? AND state IN {UNFINISHED}
) THEN 'blocked' ELSE ? END) ON CONFLICT DO NOTHING
"""  # noqa: S608 - put together from constants
# The one of each tenant that has work, beginning behind a number: a look at the index for each, however much it has.
TENANTS = """
WITH RECURSIVE turn (tenant_id) AS (
    SELECT min(tenant_id) FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id > ?
    UNION ALL
    SELECT (SELECT min(j.tenant_id) FROM addonkit_job j
        WHERE j.state = 'ready' AND j.deaths = 0 AND j.tenant_id > turn.tenant_id)
    FROM turn WHERE turn.tenant_id IS NOT NULL
)
SELECT tenant_id FROM turn WHERE tenant_id IS NOT NULL LIMIT ?
"""
RUNNING = (
    "SELECT tenant_id, count(*) AS number FROM addonkit_job WHERE state = 'running' AND tenant_id IN ({}) GROUP BY 1"
)
OLDEST = """SELECT * FROM (
    SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths = 0 AND tenant_id = ? ORDER BY due_at, id LIMIT ?
) AS one"""
SUSPECT = "SELECT id FROM addonkit_job WHERE state = 'ready' AND deaths > 0 ORDER BY id LIMIT 1"
READY = "SELECT EXISTS (SELECT 1 FROM addonkit_job WHERE state = 'ready' AND deaths = 0) AS found"
SUSPECTS = "SELECT count(*) AS number FROM addonkit_job WHERE state = 'ready' AND deaths > 0"
CLAIM = """
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
# The next one of an order is the first that is not finished; it may begin if it has only waited for its turn.
UNBLOCK = f"""
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
# Some at a time, so that nobody waits long for the lock of SQLite; on PostgreSQL past those that another one is at.
PROMOTE = """
UPDATE addonkit_job SET state = 'ready' WHERE state = 'waiting' AND id IN (
    SELECT id FROM addonkit_job WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT 500{}
)
"""
PAST_OTHERS = " FOR UPDATE SKIP LOCKED"
NEXT_DUE = "SELECT min(due_at) AS due_at FROM addonkit_job WHERE state = 'waiting'"
BEAT = "UPDATE addonkit_job SET lease_until = ? WHERE state = 'running' AND worker = ? AND id IN ({})"
LOST = (
    "SELECT id, tenant_id, plugin, name, starts, deaths FROM addonkit_job WHERE state = 'running' AND lease_until < ?"
)
BURY = """
UPDATE addonkit_job SET state = ?, deaths = deaths + 1, error = ?, finished_at = ?, worker = NULL, lease_until = NULL
WHERE id = ? AND starts = ? AND state = 'running'
"""
FORGET = """
DELETE FROM addonkit_job WHERE id IN (
    SELECT id FROM addonkit_job WHERE state = 'done' AND finished_at < ? LIMIT ?
)
"""
HOLD = "UPDATE addonkit_job SET state = 'held', error = ? WHERE state = 'ready' AND plugin NOT IN ({})"
RELEASE = "UPDATE addonkit_job SET state = 'ready' WHERE state = 'held' AND plugin IN ({})"
