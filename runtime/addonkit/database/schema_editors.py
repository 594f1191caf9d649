"""Tortoise's executor of migrations and its schema editors, which turn operations into SQL, with repairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields.base import DB_DEFAULT_NOT_SET, Field
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.migration import Migration
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, BaseSchemaEditor, SqliteSchemaEditor
from tortoise.migrations.schema_generator.state import State
from tortoise.models import Model

from addonkit.database import CONNECTION
from addonkit.database.columns import column_of
from addonkit.database.model_states import project_state
from addonkit.database.sql import quoted
from addonkit.database.sqlite import ImmediateTransaction
from addonkit.database.sqlite_tables import TableParts, table_indexes


def _text_literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


class SqliteEditor(SqliteSchemaEditor):
    """Tortoise's SQLite editor, with repairs.

    - Statements that contain a semicolon in a model's docstring stay whole.
    - A table that SQLite cannot alter is created again. Tortoise forgets its indexes, its constraints of several
      columns, its triggers and its last number; they are kept.
    - The column of a foreign key goes with its field.
    - A constraint that was created with its table can be removed.
    """

    async def _run_sql(self, sql: str) -> None:
        if self.collect_sql:
            await super()._run_sql(sql)
        else:
            await self.client.execute_script(sql)

    def _escape_default_value(self, default: object) -> str:
        return _text_literal(default) if isinstance(default, str) else super()._escape_default_value(default)

    async def remove_field(self, model: type[Model], field: Field[Any]) -> None:
        """Remove the column of a field, also if it is a foreign key."""
        if not isinstance(field, ForeignKeyFieldInstance):
            await super().remove_field(model, field)
            return
        meta = model._meta  # noqa: SLF001 - as Tortoise's editors do
        every = meta.fields_map
        meta.fields_map = {name: one for name, one in every.items() if name != field.source_field}
        try:
            await super().remove_field(model, field)
        finally:
            meta.fields_map = every

    async def remove_constraint(self, model: type[Model], constraint: UniqueConstraint | CheckConstraint) -> None:
        """Remove a constraint, also if it was created with its table."""
        if self.collect_sql or isinstance(constraint, CheckConstraint):
            await super().remove_constraint(model, constraint)
            return
        columns = self._resolve_fields_to_columns(model, constraint.fields)
        table = model._meta.db_table  # noqa: SLF001 - as above
        for index in await table_indexes(self.client, table):
            if index.unique and index.columns == columns:
                if index.sql is None:
                    await self._remake_table(model, forgotten=columns)
                else:
                    await self.client.execute_query(f"DROP INDEX {quoted(index.name)}")

    async def _remake_table(
        self,
        model: type[Model],
        create_field: Field[Any] | None = None,
        delete_field: Field[Any] | None = None,
        alter_fields: list[tuple[Field[Any], Field[Any]]] | None = None,
        forgotten: list[str] | None = None,
    ) -> None:
        changes = alter_fields or []
        if self.collect_sql:
            await super()._remake_table(model, create_field, delete_field, changes)
            return
        table = model._meta.db_table  # noqa: SLF001 - as above
        parts = await TableParts.read(self.client, table)
        await super()._remake_table(model, create_field, delete_field, changes)
        renamed, dropped = {}, [forgotten] if forgotten else []
        for old, new in changes:
            before, after = column_of(old.model_field_name, old), column_of(new.model_field_name, new)
            renamed[before] = after
            if (old.unique and not new.unique) or (old.index and not new.index):
                dropped.append([before])
        await parts.restore(self.client, renamed, dropped)
        for old, new in changes:
            if new.index and not old.index and not new.unique:
                await self._run_sql(self._get_index_sql(model, [column_of(new.model_field_name, new)], safe=True))


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
    """Tortoise's executor, which recognises clients that Tortoise does not ship, and renders fewer models."""

    def __init__(self, connection: BaseDBAsyncClient, apps_config: dict[str, dict[str, Any]]) -> None:
        super().__init__(connection, apps_config)
        self.loader = Loader(apps_config, self.recorder)

    def _schema_editor(self, atomic: bool = True, collect_sql: bool = False) -> BaseSchemaEditor:
        editor = SqliteEditor if isinstance(self.connection, ImmediateTransaction) else PostgresEditor
        return editor(self.connection, atomic=atomic, collect_sql=collect_sql)

    async def _project_state(self, applied: set[MigrationKey], *, upto: MigrationKey | None = None) -> State:
        plan = [key for key in self._full_plan() if key in applied]
        connections = dict.fromkeys(self.loader.apps_config, CONNECTION)
        return await project_state(self.loader, plan[: plan.index(upto)] if upto in plan else plan, connections)
