"""A million stored jobs of a week, written directly into the database: half of them done, the others in all states."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from addon import Deployed

JOBS = 1_000_000
TENANTS = 5_000
# Every tenth job belongs to one tenant. Errors are as long as a short traceback.
COLUMNS = """(id, tenant_id, plugin, name, kind, payload, version, facts, dedupe, order_key, due_at, created_at, starts,
    failures, error, finished_at"""
VALUES = """n, CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + n % {tenants} END, CASE WHEN n % 3 = 0 THEN 'issue_panel' ELSE
    'bench_page' END, CASE WHEN n % 7 = 0 THEN 'work' ELSE 'nothing' END, CASE WHEN n % 2 = 0 THEN 'webhook' ELSE 'job'
    END, {payload}, 1, '{{}}', 'd-' || n, CASE WHEN n % 4 = 0 THEN 'key-' || (n / 64) END, {at}, {at}, 1,
    CASE WHEN n % 50 = 0 THEN 3 ELSE 0 END,
    CASE WHEN n % 50 = 0 THEN 'HostError: 503 for page ' || n || ' {error}' END,"""
QUEUE = (
    f"INSERT INTO addonkit_job {COLUMNS}, state, deaths) SELECT {VALUES} {{finished}}, {{state}}, 0 FROM {{numbers}}"
)
DONE = f"INSERT INTO addonkit_done_job {COLUMNS}) SELECT {VALUES} {{at}} FROM {{numbers}}"
STATE = """CASE WHEN n % 50 = 0 THEN 'dead' WHEN n % 4 = 0 THEN 'blocked' WHEN n % 5 = 1 THEN 'held'
    WHEN n % 5 = 2 THEN 'waiting' ELSE 'ready' END"""
LITE = {
    "now": "(julianday('now') - 2440587.5) * 86400.0",
    "payload": "zeroblob(300)",
    "numbers": """(WITH RECURSIVE t(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM t WHERE n < {last})
        SELECT n FROM t)""",
}
POST = {
    "now": "extract(epoch FROM now())",
    "payload": "decode(repeat('00', 300), 'hex')",
    "numbers": "generate_series({first}, {last}) AS t(n)",
}


def statements(dialect: dict[str, str], count: int = JOBS) -> list[str]:
    """Return the statements that insert the jobs, and that count them as the first process does."""
    half = count // 2
    words = {**dialect, "tenants": TENANTS, "error": "at line 1 " * 20, "state": STATE}
    words["at"] = f"{dialect['now']} - 604800.0 * ({count} - n) / {count}"
    words["finished"] = f"CASE WHEN n % 50 = 0 THEN {words['at']} END"
    done = DONE.format(**{**words, "numbers": dialect["numbers"].format(first=1, last=half)})
    queue = QUEUE.format(**{**words, "numbers": dialect["numbers"].format(first=half + 1, last=count)})
    return [done, queue]


async def add_jobs(deployed: Deployed, count: int = JOBS) -> None:
    """Insert the jobs, and update the statistics of PostgreSQL as autovacuum would after a while."""
    if deployed.database is None:
        with closing(sqlite3.connect(deployed.folder / "addonkit.db")) as database, database:
            for statement in statements(LITE, count):
                database.execute(statement)
        return
    import asyncpg  # here, because SQLite does not need it

    connection = await asyncpg.connect(deployed.database)
    try:
        for statement in statements(POST, count):
            await connection.execute(statement)
        await connection.execute(f"SELECT setval(pg_get_serial_sequence('addonkit_job', 'id'), {count})")
        for table in ("addonkit_job", "addonkit_done_job"):
            await connection.execute(f"VACUUM ANALYZE {table}")
    finally:
        await connection.close()
