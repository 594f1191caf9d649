"""Finds migration steps that fail where a table has rows, or that break the previous release while it still serves.

A step passes on empty tables, so tests and fresh installs do not show these faults. Each operation of a step is
compared with the state of the models before it. An operation that follows ``RunSQL`` or ``RunPython`` in the same step
is trusted: its author has prepared the rows. A new column without a value is a fault in every case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tortoise.fields.base import Field
from tortoise.fields.relational import ManyToManyFieldInstance, RelationalField
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    CreateModel,
    Operation,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from tortoise.migrations.schema_generator.state import ModelState, State

from addonkit.database.columns import (
    column_of,
    is_constant,
    is_narrower,
    is_storable_default,
    shown_default,
    unique_sets,
)
from addonkit.database.step_findings import (
    PREPARE,
    Finding,
    not_unique,
    other_type,
    renamed_column,
    renamed_table,
    replaced,
    unstorable_default,
)


@dataclass(frozen=True, slots=True)
class StepFault:
    """A step that fails on tables with rows or breaks the previous release.

    Attributes:
        app: The plugin.
        step: Name of the migration, which is its file's name without ``.py``.
        column: The table and the columns.
        problem: What is wrong.
        remedy: What to change in the models before the step is released.
        follow_up: What to do once the step is released.
    """

    app: str
    step: str
    column: str
    problem: str
    remedy: str
    follow_up: str

    def describe(self, *, released: bool) -> str:
        """Return one sentence, with the remedy for a step that is or is not released."""
        return (
            f"plugin '{self.app}', step '{self.step}', column '{self.column}': {self.problem}; "
            f"{self.follow_up if released else self.remedy}"
        )


def step_faults(app: str, step: str, operations: Iterable[Operation], state: State) -> list[StepFault]:
    """Find the faults of a step, and bring the state forward over it.

    Args:
        app: The plugin.
        step: Name of the migration.
        operations: Its operations.
        state: The models before the step; afterwards, the models after it.
    """
    faults: list[StepFault] = []
    created, added, prepared = set[str](), dict[str, set[str]](), False
    listed = list(operations)
    unique = {key: unique_sets(model) for key, model in state.models.items()}
    for place, operation in enumerate(listed):
        prepared = prepared or isinstance(operation, (RunSQL, RunPython))
        if isinstance(operation, CreateModel):
            created.add(operation.name)
            faults += _renamed_class(app, step, operation, state)
        name = str(getattr(operation, "model_name", None) or getattr(operation, "old_name", ""))
        model = state.models.get((app, name))
        if model is not None and name not in created and not (prepared and not isinstance(operation, AddField)):
            following = listed[place + 1 : place + 2]
            table = str(model.options.get("table") or model.table)
            faults += [
                StepFault(
                    app,
                    step,
                    ", ".join(f"{table}.{column}" for column in found.columns) or table,
                    found.problem,
                    found.remedy,
                    found.follow_up.replace("{step}", step),
                )
                for found in _findings(operation, model, added.get(name, set()), following)
                if not _is_implied(operation, unique[app, name])
            ]
        if isinstance(operation, AddField):
            added.setdefault(name, set()).add(operation.name)
        kept = isinstance(operation, RenameField) and _kept_column(operation, model, listed[place + 1 : place + 2])
        operation.state_forward(app, state)
        if kept and isinstance(operation, RenameField):
            # The next operation gives the column its name back.
            state.models[(app, name)].fields[operation.new_name].source_field = kept
    return faults


def _renamed_class(app: str, step: str, operation: CreateModel, state: State) -> Iterator[StepFault]:
    table = (operation.options or {}).get("table")
    for (label, name), model in state.models.items():
        if label == app and table and table == (model.options.get("table") or model.table):
            yield StepFault(
                app,
                step,
                str(table),
                f"the class '{name}' became '{operation.name}', which is written as a new model of a table that exists",
                f"keep the name of the class, or write ops.RenameModel('{name}', '{operation.name}') in a step by hand",
                f"replace the operations by ops.RenameModel('{name}', '{operation.name}') in '{step}.py'",
            )


def _is_implied(operation: Operation, unique: Sequence[set[str]]) -> bool:
    """Whether a unique constraint follows from one of fewer columns that the table had before the step."""
    if isinstance(operation, AddConstraint) and isinstance(operation.constraint, UniqueConstraint):
        return any(one <= set(operation.constraint.fields) for one in unique)
    return isinstance(operation, AddIndex) and any(one <= set(operation.index.field_names) for one in unique)


def _findings(
    operation: Operation, model: ModelState, added: set[str], following: Sequence[Operation]
) -> Iterator[Finding]:
    match operation:
        case AddField():
            yield from _added(operation.name, operation.field, model)  # type: ignore[arg-type] # Tortoise's own union
        case AlterField() if operation.name in model.fields:
            yield from _altered(operation.name, model.fields[operation.name], operation.field)  # type: ignore[arg-type]
        case RenameField() if operation.old_name in model.fields:
            yield from _renamed(operation, model, following)
        case RenameModel() if model.table == operation.old_name.lower():
            yield renamed_table()
        case AddConstraint():
            yield from _constrained(operation.constraint, model, added)
        case AddIndex() if "UNIQUE" in operation.index.INDEX_TYPE.upper():
            yield from _unique(_columns(operation.index, model), model, added, list(operation.index.field_names))


def _added(name: str, field: Field[object], model: ModelState) -> Iterator[Finding]:
    if isinstance(field, ManyToManyFieldInstance):
        return
    column = [column_of(name, field)]
    if any(column == [column_of(other, one)] for other, one in model.fields.items() if other != name):
        yield replaced(column)
        return
    if field.pk:
        yield Finding(
            column,
            "a primary key is added to a table that has rows",
            "create a model with a table of its own",
            "copy the rows into a new table by RunSQL in a following step",
        )
        return
    if not field.null and not field.has_db_default():
        default = shown_default(field)
        yield Finding(
            column,
            "it is NOT NULL without a default in the database, so the step fails where the table has rows, and inserts "
            "of the previous release fail",
            f"add 'db_default={default}' or 'null=True' to the field",
            f"add 'db_default={default}' to the field of the model and run makemigrations, whose step sets it where "
            "this one is applied; then add it to the field in '{step}.py' for the other databases",
        )
    elif field.has_db_default() and not is_constant(field.db_default):
        yield Finding(
            column,
            "its db_default is an expression, which SQLite refuses for a new column of a table with rows",
            "use a constant, or 'null=True' without a db_default",
            "replace it by 'null=True' in '{step}.py' and in the model",
        )
    elif field.has_db_default() and not is_storable_default(name, field):
        yield unstorable_default(column)
    elif field.unique and field.has_db_default():
        yield not_unique(column)


def _altered(name: str, old: Field[object], new: Field[object]) -> Iterator[Finding]:
    column = [column_of(name, old)]
    if isinstance(old, ManyToManyFieldInstance):
        return
    if old.pk != new.pk or isinstance(old, RelationalField) != isinstance(new, RelationalField):
        yield other_type(column)
        return
    if not isinstance(old, RelationalField):
        if old.field_type != new.field_type:
            yield other_type(column)
            return
        if is_narrower(old, new):
            yield Finding(
                column,
                "it becomes narrower, so rows with larger values fail or are changed, and the previous release still "
                "stores such values",
                "keep its size and limit new values in the code, or add a new column",
                PREPARE.replace("{action}", "shortens larger values"),
            )
    if old.null and not new.null:
        yield Finding(
            column,
            "it becomes NOT NULL, but rows may hold NULL, and the previous release may still store it",
            "keep 'null=True', or add a new column with a db_default",
            PREPARE.replace("{action}", "fills rows that hold NULL"),
        )
    if new.unique and not old.unique:
        yield not_unique(column)
    if new.has_db_default() and new.db_default != old.db_default and not is_storable_default(name, new):
        yield unstorable_default(column)
    if column_of(name, new) != column[0]:
        yield renamed_column([column[0]], column[0])
    if old.has_db_default() and not new.has_db_default() and not new.null and old.default is None:
        yield Finding(
            column,
            "it loses its db_default, on which the previous release relies",
            "keep the db_default",
            "add the db_default to the field of the model again and run makemigrations",
        )


def _renamed(operation: RenameField, model: ModelState, following: Sequence[Operation]) -> Iterator[Finding]:
    field = model.fields[operation.old_name]
    before = column_of(operation.old_name, field)
    if column_of(operation.new_name, field) != before and not _kept_column(operation, model, following):
        yield renamed_column([before], before)


def _kept_column(operation: RenameField, model: ModelState | None, following: Sequence[Operation]) -> str | None:
    """Return the column if the operation after it gives it its name back, as ``makemigrations`` writes it."""
    field = model.fields.get(operation.old_name) if model else None
    for one in following:
        if field is None or not isinstance(one, AlterField):
            continue
        column = column_of(one.name, one.field)  # type: ignore[arg-type] # Tortoise's own union
        same = (one.model_name, one.name) == (operation.model_name, operation.new_name)
        return column if same and column == column_of(operation.old_name, field) else None
    return None


def _constrained(constraint: object, model: ModelState, added: set[str]) -> Iterator[Finding]:
    if isinstance(constraint, UniqueConstraint):
        yield from _unique(_columns(constraint, model), model, added, list(constraint.fields))
        return
    yield Finding(
        (),
        f"the check '{getattr(constraint, 'name', '')}' is added, which rows and the previous release may violate",
        "check values in the code",
        PREPARE.replace("{action}", "makes all rows comply"),
    )


def _unique(columns: Sequence[str], model: ModelState, added: set[str], names: Sequence[str]) -> Iterator[Finding]:
    # Rows have NULL in a new column without a default, and NULLs do not count as equal.
    new = [model.fields[name] for name in names if name in added and name in model.fields]
    if not any(field.null and not field.has_db_default() for field in new):
        yield not_unique(columns)


def _columns(of: UniqueConstraint | Index, model: ModelState) -> list[str]:
    names = of.fields if isinstance(of, UniqueConstraint) else of.field_names
    return [column_of(name, model.fields[name]) if name in model.fields else name for name in names]
