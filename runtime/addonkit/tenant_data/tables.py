"""The tables in which sites have rows, found in the database itself: the plugins that made them need not be there.

What is done with such rows is in ``deletion`` and ``export``. Plugins' rows are seen in their site's scope alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tortoise.connection import get_connection

from addonkit.context import Tenant
from addonkit.database import CONNECTION
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.sql import on_postgres, quoted
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.manager import TENANT_COLUMN
from addonkit.tenant_data.scope import tenant_scope

COLUMNS_SQLITE = """
SELECT m.name AS "table", c.name AS "column", c.type AS type, c."notnull" = 0 AS nullable, c.pk AS place
FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY m.name, c.cid
"""
COLUMNS_POSTGRES = """
SELECT c.relname::text AS "table", a.attname::text AS "column", format_type(a.atttypid, NULL) AS type,
    NOT a.attnotnull AS nullable, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS place
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
    AND NOT a.attisdropped ORDER BY c.relname, a.attnum
"""
REFERENCES_SQLITE = """
SELECT m.name AS "table", f."from" AS "column", f."table" AS target
FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'
"""
REFERENCES_POSTGRES = """
SELECT c.relname::text AS "table", a.attname::text AS "column", t.relname::text AS target
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
WHERE k.contype = 'f' AND n.nspname = current_schema()
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in which sites have rows.

    Attributes:
        name: Its name.
        plugin: Whose it is; ``addonkit`` for the runtime's own.
        bound_by: The column with the site's number: ``tenant_id``, or ``id`` in the table of the sites themselves.
        columns: Type of each column by its name, in the database's words and in the table's order.
        nullable: The columns that may be empty.
        key: The columns of its primary key.
        references: The tables that each column refers to, by the column.
    """

    name: str
    plugin: str
    bound_by: str = TENANT_COLUMN
    columns: dict[str, str] = field(default_factory=dict)
    nullable: set[str] = field(default_factory=set)
    key: list[str] = field(default_factory=list)
    references: dict[str, set[str]] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether it is the runtime's."""
        return self.plugin == RUNTIME_APP

    @property
    def owned(self) -> str:
        """The condition that a row is the site's whose number is the statement's first value."""
        return f"{quoted(self.bound_by)} = {'$1' if on_postgres() else '?'}"


async def tenant_tables(plugins: Iterable[str]) -> list[Table]:
    """Give every table that has rows of sites, the runtime's and all plugins', by name.

    Args:
        plugins: Names of the installed plugins. Those that ever made a table are known to the database besides.
    """
    owners = {RUNTIME_APP, *plugins, *[row["app"] for row in await ask("SELECT DISTINCT app FROM tortoise_migrations")]}
    postgres = on_postgres()
    found: dict[str, Table] = {}
    for row in await ask(COLUMNS_POSTGRES if postgres else COLUMNS_SQLITE):
        name, column = row["table"], row["column"]
        bound_by = "id" if name == TenantRow.Meta.table else TENANT_COLUMN
        table = found.setdefault(name, Table(name, _owner(name, owners), bound_by))
        table.columns[column] = row["type"]
        table.nullable.update([column] if row["nullable"] else [])
        table.key.extend([column] if row["place"] else [])
    for row in await ask(REFERENCES_POSTGRES if postgres else REFERENCES_SQLITE):
        if row["table"] in found:
            found[row["table"]].references.setdefault(row["column"], set()).add(row["target"])
    return [table for table in found.values() if table.plugin and table.bound_by in table.columns]


async def count_rows(tables: Iterable[Table], tenant_id: int) -> dict[str, int]:
    """Give how many rows the site in scope has in each table, by the table's name."""
    counted = {}
    for table in tables:
        [row] = await ask(f"SELECT count(*) AS rows FROM {quoted(table.name)} WHERE {table.owned}", tenant_id)  # noqa: S608 - names from the catalogue
        counted[table.name] = int(row["rows"])
    return counted


async def rows_of(tenant: Tenant, plugins: Iterable[str]) -> dict[str, int]:
    """Give how many rows a site has in every table, the runtime's among them, by the table's name."""
    with tenant_scope(tenant):
        return await count_rows(await tenant_tables(plugins), tenant.id)


async def ask(query: str, *values: object) -> Sequence[Mapping[str, Any]]:
    """Give the rows of a query, in the transaction at hand if there is one."""
    return await get_connection(CONNECTION).execute_query_dict(query, list(values))


async def run(statement: str, *values: object) -> int:
    """Give how many rows a statement has changed."""
    changed, _ = await get_connection(CONNECTION).execute_query(statement, list(values))
    return changed


def _owner(table: str, owners: Iterable[str]) -> str:
    """The app that a table belongs to: of two whose names it begins with, that of the longer name."""
    return max((name for name in owners if table.startswith(f"{name}_")), key=len, default="")
