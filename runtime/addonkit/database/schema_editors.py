"""Tortoise's schema editors, which turn the operations of migrations into SQL, with repairs."""

from __future__ import annotations

from copy import copy
from typing import Any

from tortoise.fields.base import DB_DEFAULT_NOT_SET, Field
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, BaseSchemaEditor, SqliteSchemaEditor
from tortoise.models import Model

from addonkit.database.sqlite import ImmediateTransaction


def _text_literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


class SqliteEditor(SqliteSchemaEditor):
    """Tortoise's SQLite editor, changed to keep statements whole that contain a semicolon in a model's docstring."""

    async def _run_sql(self, sql: str) -> None:
        if self.collect_sql:
            await super()._run_sql(sql)
        else:
            await self.client.execute_script(sql)

    def _escape_default_value(self, default: object) -> str:
        return _text_literal(default) if isinstance(default, str) else super()._escape_default_value(default)


class PostgresEditor(AsyncpgSchemaEditor):
    """Tortoise's editor for PostgreSQL, except for defaults.

    Quotes in a default are doubled. A default is set by each step that alters its column, since an earlier step may
    have been changed to set it after it was applied here.
    """

    def _escape_default_value(self, default: object) -> str:
        return _text_literal(default) if isinstance(default, str) else super()._escape_default_value(default)

    async def _alter_field(self, model: type[Model], old_field: Field[Any], new_field: Field[Any]) -> None:
        if new_field.has_db_default():
            old_field = copy(old_field)
            old_field.db_default = DB_DEFAULT_NOT_SET
        await super()._alter_field(model, old_field, new_field)


class Executor(MigrationExecutor):
    """Tortoise's executor, extended to recognise clients that Tortoise does not ship."""

    def _schema_editor(self, atomic: bool = True, collect_sql: bool = False) -> BaseSchemaEditor:
        editor = SqliteEditor if isinstance(self.connection, ImmediateTransaction) else PostgresEditor
        return editor(self.connection, atomic=atomic, collect_sql=collect_sql)
