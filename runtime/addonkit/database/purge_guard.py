"""Refuses new rows of purged tenants: a trigger on each plugin table that is tenant-bound.

A task that outlives its request keeps its tenant, and may write after the tenant was purged. The trigger refuses a row
whose tenant's number was assigned and no longer exists. A number that an adoption gave up keeps its history, and is not
refused: its late rows are deleted by ``tenant_data.adoption``. On PostgreSQL it takes the lock of a foreign key on the
tenant's row, so that a purge waits for open transactions, and deletes what they wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient

from addonkit.database.sql import quoted

NAME = "addonkit_purge_guard"
REFUSAL = "the tenant was purged; nothing can be stored for it"

TRIGGERS_SQLITE = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '{NAME}!_%' ESCAPE '!'"  # noqa: S608 - a constant
TABLES_SQLITE = """
SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND c.name = 'tenant_id' AND m.name NOT LIKE 'addonkit!_%' ESCAPE '!'
    AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'addonkit_tenant_history')
ORDER BY m.name
"""
TRIGGER_SQLITE = f"""
CREATE TRIGGER {{trigger}} BEFORE INSERT ON {{table}}
WHEN NOT EXISTS (SELECT 1 FROM addonkit_tenant WHERE id = NEW.tenant_id)
    AND NEW.tenant_id <= (SELECT seq FROM sqlite_sequence WHERE name = 'addonkit_tenant')
    AND NOT EXISTS (SELECT 1 FROM addonkit_tenant_history WHERE tenant_id = NEW.tenant_id)
BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
"""  # noqa: S608 - a constant

TABLES_POSTGRES = f"""
SELECT c.relname::text AS name, quote_ident(current_schema()) AS schema
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attname = 'tenant_id' AND a.attnum > 0 AND NOT a.attisdropped
    AND NOT starts_with(c.relname, 'addonkit_') AND to_regclass('addonkit_tenant_history') IS NOT NULL
    AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = '{NAME}')
ORDER BY c.relname
"""  # noqa: S608 - a constant
# The schema is named, because pg_restore runs without a search path.
FUNCTION_POSTGRES = f"""
CREATE OR REPLACE FUNCTION {{schema}}.{NAME}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM {{schema}}.addonkit_tenant WHERE id = NEW.tenant_id FOR KEY SHARE;
    IF NOT FOUND AND NEW.tenant_id <= (
        SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('{{schema}}.addonkit_tenant', 'id')::regclass), 0)
    ) AND NOT EXISTS (SELECT FROM {{schema}}.addonkit_tenant_history WHERE tenant_id = NEW.tenant_id) THEN
        RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$
"""  # noqa: S608 - constants
TRIGGER_POSTGRES = f"CREATE TRIGGER {NAME} BEFORE INSERT ON {{table}} FOR EACH ROW EXECUTE FUNCTION {{schema}}.{NAME}()"


async def drop_guards(client: BaseDBAsyncClient) -> None:
    """Drop the triggers of an SQLite database before it is migrated: it cannot rename a table that a trigger reads."""
    for row in await _rows(client, TRIGGERS_SQLITE):
        await client.execute_query(f"DROP TRIGGER {quoted(row['name'])}")


async def add_guards(client: BaseDBAsyncClient, *, postgres: bool) -> None:
    """Add the trigger to each tenant-bound table of a plugin that lacks it.

    Args:
        client: A transaction of the tables' owner.
        postgres: Whether the database is PostgreSQL.
    """
    if not postgres:
        for row in await _rows(client, TABLES_SQLITE):
            name = row["name"]
            await client.execute_query(
                TRIGGER_SQLITE.format(trigger=quoted(f"{NAME}_{name}"), table=quoted(name)),
            )
        return
    rows = await _rows(client, TABLES_POSTGRES)
    if rows:
        await client.execute_query(FUNCTION_POSTGRES.format(schema=rows[0]["schema"]))
    for row in rows:
        await client.execute_query(TRIGGER_POSTGRES.format(table=quoted(row["name"]), schema=row["schema"]))


async def _rows(client: BaseDBAsyncClient, query: str) -> Sequence[Any]:
    return (await client.execute_query(query))[1]
