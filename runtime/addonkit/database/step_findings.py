"""What is wrong with a migration step: the problem of some columns, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PREPARE = "put a RunSQL operation that {action} before it in '{step}.py'"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one operation.

    Attributes:
        columns: The columns.
        problem: What is wrong.
        remedy: What to change in the models before the step is released.
        follow_up: What to do once the step is released.
    """

    columns: Sequence[str]
    problem: str
    remedy: str
    follow_up: str


def replaced(columns: Sequence[str]) -> Finding:
    """A field that is renamed and changed in one step."""
    return Finding(
        columns,
        "its field is renamed and changed in one step, so the column is removed and added again without its values",
        f"rename the field with 'source_field=\"{columns[0]}\"' in one step, and change it in the next",
        "restore the values from a backup",
    )


def unstorable_default(columns: Sequence[str]) -> Finding:
    """A default that its column cannot hold."""
    return Finding(
        columns,
        "one of the two databases cannot store its default",
        "use a default of the column's type, size and range",
        "replace the default in '{step}.py' and in the model",
    )


def renamed_column(columns: Sequence[str], kept: str) -> Finding:
    """A column with another name."""
    return Finding(
        columns,
        "it is renamed, so the previous release can neither read nor write the table",
        f"keep the column with 'source_field=\"{kept}\"'; or, if it is another column, add it in one release and "
        "remove the old one in the next",
        "stop the processes of the previous release before this step is applied",
    )


def renamed_table() -> Finding:
    """A table with another name."""
    return Finding(
        (),
        "the table is renamed, so the previous release can neither read nor write it",
        "keep its name with 'table' in the model's Meta",
        "stop the processes of the previous release before this step is applied",
    )


def not_unique(columns: Sequence[str]) -> Finding:
    """Columns that become unique where rows may hold equal values."""
    return Finding(
        columns,
        "it becomes unique, but rows may hold equal values, and the previous release may still store them",
        "add a new column that is unique with 'null=True', or keep values unique in the code",
        PREPARE.replace("{action}", "removes duplicates"),
    )


def other_type(columns: Sequence[str]) -> Finding:
    """A column with another type."""
    return Finding(
        columns,
        "it gets another type, which neither its rows nor the previous release fit",
        "add a new column, and remove the old one in a later release",
        "undo the change in the model, and add a new column instead",
    )
