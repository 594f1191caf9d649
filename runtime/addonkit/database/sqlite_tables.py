"""What belongs to an SQLite table beside its columns, kept when a migration creates the table again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tortoise.backends.base.client import BaseDBAsyncClient

from addonkit.database.purge_guard import NAME as GUARD
from addonkit.database.sql import quoted

INDEXES = """
SELECT l.name, l."unique" AS is_unique, l.partial, m.sql
FROM pragma_index_list(?) AS l LEFT JOIN sqlite_master AS m ON m.type = 'index' AND m.name = l.name
WHERE l.origin <> 'pk' ORDER BY l.seq DESC
"""
COLUMNS = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
TRIGGERS = f"""
SELECT name, sql FROM sqlite_master
WHERE type = 'trigger' AND tbl_name = ? AND name NOT LIKE '{GUARD}!_%' ESCAPE '!' ORDER BY rowid
"""  # noqa: S608 - a constant
LAST_NUMBER = "SELECT seq FROM sqlite_sequence WHERE name = ?"
HAS_NUMBERS = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"


@dataclass(frozen=True, slots=True)
class TableIndex:
    """An index of a table.

    Attributes:
        name: Its name.
        unique: Whether it is unique.
        is_partial: Whether it has a condition.
        columns: Its columns; None stands for an expression.
        sql: The statement that creates it; None if it is of a constraint that was created with the table.
    """

    name: str
    unique: bool
    is_partial: bool
    columns: list[str | None]
    sql: str | None

    def statement(self, table: str, renamed: Mapping[str, str]) -> str | None:
        """Return the statement that creates the index on the new table; None if a condition has a renamed column."""
        columns = [renamed.get(column, column) if column else None for column in self.columns]
        if self.sql is not None and columns == self.columns:
            return self.sql
        if self.is_partial or None in columns:
            return None
        names = ", ".join(quoted(column) for column in columns if column)
        # Of a constraint: the name that SQLite gave it is reserved.
        name = self.name if self.sql is not None else _constraint_name(table, columns)
        return f"CREATE {'UNIQUE ' if self.unique else ''}INDEX {quoted(name)} ON {quoted(table)} ({names})"


def _constraint_name(table: str, columns: Collection[str | None]) -> str:
    digest = hashlib.sha256(repr((table, list(columns))).encode()).hexdigest()[:10]
    return f"uid_{table}_{digest}"


async def table_indexes(client: BaseDBAsyncClient, table: str) -> list[TableIndex]:
    """Return the indexes of a table except that of its primary key."""
    return [
        TableIndex(
            row["name"],
            bool(row["is_unique"]),
            bool(row["partial"]),
            [column["name"] for column in await _rows(client, COLUMNS, row["name"])],
            row["sql"],
        )
        for row in await _rows(client, INDEXES, table)
    ]


@dataclass(frozen=True, slots=True)
class TableParts:
    """The indexes, unique constraints, triggers and the last number of a table.

    The triggers of ``purge_guard`` are not among them; they are created after each migration.
    """

    table: str
    indexes: list[TableIndex]
    triggers: list[str]
    last_number: int | None

    @classmethod
    async def read(cls, client: BaseDBAsyncClient, table: str) -> Self:
        """Read them before the table is dropped."""
        triggers = [row["sql"] for row in await _rows(client, TRIGGERS, table)]
        numbers = await _rows(client, LAST_NUMBER, table) if await _rows(client, HAS_NUMBERS) else []
        last = numbers[0]["seq"] if numbers else None
        return cls(table, await table_indexes(client, table), triggers, last)

    async def restore(
        self, client: BaseDBAsyncClient, renamed: Mapping[str, str], dropped: Collection[list[str]]
    ) -> None:
        """Create those that the new table lacks.

        Args:
            client: The transaction of the migration.
            renamed: The new names of columns.
            dropped: The columns of indexes that are no longer wanted.
        """
        columns = {row["name"] for row in await _rows(client, "SELECT name FROM pragma_table_info(?)", self.table)}
        present = {(index.unique, *index.columns) for index in await table_indexes(client, self.table)}
        for index in self.indexes:
            names = [renamed.get(column, column) if column else None for column in index.columns]
            is_wanted = index.columns not in dropped and all(name is None or name in columns for name in names)
            statement = index.statement(self.table, renamed) if is_wanted else None
            if statement is not None and (index.unique, *names) not in present:
                await client.execute_query(statement)
        for trigger in self.triggers:
            await client.execute_query(trigger)
        if self.last_number is not None:
            await client.execute_query("DELETE FROM sqlite_sequence WHERE name = ?", [self.table])
            await client.execute_query(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [self.table, self.last_number]
            )


async def _rows(client: BaseDBAsyncClient, statement: str, *values: Any) -> list[Any]:
    return list((await client.execute_query(statement, list(values)))[1])
