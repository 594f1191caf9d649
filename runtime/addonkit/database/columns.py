"""Columns of models, as migrations compare them: names, sizes and defaults."""

from __future__ import annotations

import re

from tortoise.fields.base import Field
from tortoise.fields.db_defaults import SqlDefault
from tortoise.fields.relational import ForeignKeyFieldInstance

CONSTANT = re.compile(r"\s*([+-]?\d+(\.\d+)?|'([^']|'')*'|TRUE|FALSE)\s*", re.IGNORECASE)
"""A default that SQLite accepts for a new column of a table with rows."""
INTEGER_BITS = {"SMALLINT": 16, "INT": 32, "BIGINT": 64}


def column_of(name: str, field: Field[object]) -> str:
    """Return the name of a field's column."""
    return field.source_field or (f"{name}_id" if isinstance(field, ForeignKeyFieldInstance) else name)


def is_narrower(old: Field[object], new: Field[object]) -> bool:
    """Whether a column holds fewer values than before: shorter text, smaller integers or fewer digits."""
    before, after = (INTEGER_BITS.get(field.get_for_dialect("postgres", "SQL_TYPE") or "") for field in (old, new))
    if before and after:
        return after < before
    if (length := getattr(new, "max_length", None)) is not None:
        known = getattr(old, "max_length", None)
        return known is None or length < known
    places, digits = getattr(new, "decimal_places", None), getattr(new, "max_digits", None)
    if places is None or digits is None:
        return False
    known_places, known_digits = getattr(old, "decimal_places", places), getattr(old, "max_digits", digits)
    return bool(places < known_places or digits - places < known_digits - known_places)


def is_constant(default: object) -> bool:
    """Whether a default of the database is a constant and no expression."""
    return not isinstance(default, SqlDefault) or CONSTANT.fullmatch(default.sql) is not None


def shown_default(field: Field[object]) -> str:
    """Return the model's default for a message; an ellipsis if it is none or a function."""
    return "…" if field.default is None or callable(field.default) else repr(field.default)
