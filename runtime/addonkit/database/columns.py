"""Columns of models, as migrations compare them: names, sizes and defaults."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from tortoise.exceptions import ValidationError
from tortoise.fields.base import Field
from tortoise.fields.data import JSONField
from tortoise.fields.db_defaults import SqlDefault
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.migrations.schema_generator.state import ModelState

from addonkit.database.column_values import is_storable_json
from addonkit.database.lookups import check_storable

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
    """Whether a default of the database is a constant that can be written, and no expression."""
    if isinstance(default, (float, Decimal)):
        return math.isfinite(default)
    return not isinstance(default, SqlDefault) or CONSTANT.fullmatch(default.sql) is not None


def is_storable_default(name: str, field: Field[Any]) -> bool:
    """Whether both databases can store a field's default of the database in its column."""
    if isinstance(field.db_default, SqlDefault) or isinstance(field, JSONField):
        return not isinstance(field, JSONField) or is_storable_json(field.db_default)
    try:
        check_storable({name: field}, [(name, field.db_default)], "postgres")
        field.to_db_value(field.db_default, None)  # type: ignore[arg-type] # no field uses the row here
    except (ValidationError, ValueError, ArithmeticError):
        return False
    return True


def unique_sets(model: ModelState) -> list[set[str]]:
    """Return the sets of fields whose values are unique together, also those of one field."""
    sets = [{name} for name, field in model.fields.items() if field.pk or getattr(field, "unique", False)]
    sets += [set(fields) for fields in model.options.get("unique_together") or ()]
    constraints = [*(model.options.get("constraints") or ()), *(model.options.get("indexes") or ())]
    for one in constraints:
        if isinstance(one, UniqueConstraint):
            sets.append(set(one.fields))
        elif isinstance(one, Index) and "UNIQUE" in one.INDEX_TYPE.upper():
            sets.append(set(one.field_names))
    return sets


def shown_default(field: Field[object]) -> str:
    """Return the model's default for a message; an ellipsis if it is none or a function."""
    is_shown = field.default is not None and not callable(field.default) and is_constant(field.default)
    return repr(field.default) if is_shown else "…"
