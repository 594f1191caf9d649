"""Lists the tables with tenants' rows from the database's catalogue, including those of removed plugins.

Plugins' rows are only visible in their tenant's scope. ``purge`` deletes rows, ``export`` exports them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from addonkit.context import Tenant
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.sql import fetch, on_postgres, quoted
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.queries import TENANT_COLUMN
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
    """A table with rows of tenants.

    Attributes:
        name: Name of the table.
        plugin: Name of the plugin; ``addonkit`` for the runtime's tables.
        tenant_column: The column with the tenant's number: ``tenant_id``, or ``id`` in the table of tenants.
        columns: The database's type of each column by name, in the table's order.
        nullable: The columns that may be NULL.
        key: The columns of the primary key.
        references: The tables that foreign keys refer to, by column.
    """

    name: str
    plugin: str
    tenant_column: str = TENANT_COLUMN
    columns: dict[str, str] = field(default_factory=dict)
    nullable: set[str] = field(default_factory=set)
    key: list[str] = field(default_factory=list)
    references: dict[str, set[str]] = field(default_factory=dict)

    @property
    def is_runtime(self) -> bool:
        """Whether it is a table of the runtime."""
        return self.plugin == RUNTIME_APP

    @property
    def of_tenant(self) -> str:
        """The SQL condition for the rows of one tenant, with a placeholder for its number."""
        return f"{quoted(self.tenant_column)} = ?"


async def tenant_tables(plugins: Iterable[str]) -> list[Table]:
    """List every table with tenants' rows, of the runtime and of all plugins, ordered by name.

    Args:
        plugins: Names of the installed plugins; others are found by the migrations that the database records.
    """
    owners = {
        RUNTIME_APP,
        *plugins,
        *[row["app"] for row in await fetch("SELECT DISTINCT app FROM tortoise_migrations")],
    }
    postgres = on_postgres()
    found: dict[str, Table] = {}
    for row in await fetch(COLUMNS_POSTGRES if postgres else COLUMNS_SQLITE):
        name, column = row["table"], row["column"]
        tenant_column = "id" if name == TenantRow.Meta.table else TENANT_COLUMN
        table = found.setdefault(name, Table(name, _owner(name, owners), tenant_column))
        table.columns[column] = row["type"]
        table.nullable.update([column] if row["nullable"] else [])
        table.key.extend([column] if row["place"] else [])
    for row in await fetch(REFERENCES_POSTGRES if postgres else REFERENCES_SQLITE):
        if row["table"] in found:
            found[row["table"]].references.setdefault(row["column"], set()).add(row["target"])
    return [table for table in found.values() if table.plugin and table.tenant_column in table.columns]


async def count_rows(tables: Iterable[Table], tenant_id: int) -> dict[str, int]:
    """Count the current tenant's rows in each table, by the table's name."""
    counted = {}
    for table in tables:
        [row] = await fetch(f"SELECT count(*) AS rows FROM {quoted(table.name)} WHERE {table.of_tenant}", [tenant_id])  # noqa: S608 - quoted names from the catalogue
        counted[table.name] = int(row["rows"])
    return counted


async def count_tenant_rows(tenant: Tenant, plugins: Iterable[str]) -> dict[str, int]:
    """Count a tenant's rows in every table, including the runtime's, by the table's name."""
    with tenant_scope(tenant):
        return await count_rows(await tenant_tables(plugins), tenant.id)


def _owner(table: str, owners: Iterable[str]) -> str:
    """Return the app that a table belongs to: the longest name that is a prefix of the table's name."""
    return max((name for name in owners if table.startswith(f"{name}_")), key=len, default="")
