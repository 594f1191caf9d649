"""Tortoise's executor of migrations and its schema editors, which turn operations into SQL, with repairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields.base import DB_DEFAULT_NOT_SET, Field
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.migration import Migration
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, BaseSchemaEditor, SqliteSchemaEditor
from tortoise.migrations.schema_generator.state import State
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


class StepFailed(Exception):
    """A migration failed; the cause is the error.

    Args:
        app: The plugin, or the runtime's app.
        name: Name of the migration.
    """

    def __init__(self, app: str, name: str) -> None:
        super().__init__(f"{app}.{name}")
        self.app, self.name = app, name


class Loader(MigrationLoader):
    """Tortoise's loader, changed so that the error of a migration names it."""

    def load_disk(self) -> None:
        """Load all migrations."""
        super().load_disk()
        for migration in self.disk_migrations.values():
            migration.apply = partial(_apply, migration, migration.apply)  # type: ignore[method-assign]


async def _apply(migration: Migration, apply: Callable[..., Awaitable[State]], *arguments: Any, **named: Any) -> State:
    try:
        return await apply(*arguments, **named)
    except Exception as error:
        raise StepFailed(migration.app_label, migration.name) from error


class Executor(MigrationExecutor):
    """Tortoise's executor, extended to recognise clients that Tortoise does not ship."""

    def __init__(self, connection: BaseDBAsyncClient, apps_config: dict[str, dict[str, Any]]) -> None:
        super().__init__(connection, apps_config)
        self.loader = Loader(apps_config, self.recorder)

    def _schema_editor(self, atomic: bool = True, collect_sql: bool = False) -> BaseSchemaEditor:
        editor = SqliteEditor if isinstance(self.connection, ImmediateTransaction) else PostgresEditor
        return editor(self.connection, atomic=atomic, collect_sql=collect_sql)
