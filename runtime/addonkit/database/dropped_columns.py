"""Warns of migration steps that drop what the previous release may still read and write.

Whether it does cannot be seen from the step: the first of two releases removes the field from the models and keeps the
column, and the second one drops the column. A warning therefore names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortoise.fields.relational import ManyToManyFieldInstance
from tortoise.migrations.operations import DeleteModel, Operation, RemoveField
from tortoise.migrations.schema_generator.state import State

from addonkit.database.columns import column_of


def drop_warnings(app: str, operations: Iterable[Operation], before: State) -> Iterator[str]:
    """Describe each column and table that a step drops, with the way over two releases.

    Args:
        app: The plugin.
        operations: The step's operations.
        before: The models before the step.
    """
    for operation in operations:
        if isinstance(operation, DeleteModel):
            model = before.models.get((app, operation.name))
            table = (model.options.get("table") or model.table) if model else operation.name
            yield (
                f"plugin '{app}' drops the table '{table}' with its rows; processes of the previous release that use "
                f"it fail. If its models still have '{operation.name}', delete this step, release without the class "
                "first, and run makemigrations for the release after that"
            )
        if isinstance(operation, RemoveField):
            model = before.models.get((app, operation.model_name))
            field = model.fields.get(operation.name) if model else None
            if model is None or field is None or isinstance(field, ManyToManyFieldInstance):
                continue
            column = f"{model.options.get('table') or model.table}.{column_of(operation.name, field)}"
            first = (
                "release without the field first"
                if field.null or field.has_db_default()
                else "give the field 'null=True', run makemigrations, and release without the field first"
            )
            yield (
                f"plugin '{app}' drops the column '{column}' with its values; processes of the previous release that "
                f"use it fail. If its models still have '{operation.name}', delete this step, {first}, and run "
                "makemigrations for the release after that"
            )
