# ruff: noqa: SLF001 - a model's fields are in _meta, as Tortoise documents
"""The statement of a model's ``rows()``, written once for each shape: columns, conditions, order and dialect.

Names are checked here against the columns of the model's own table; ``rows`` checks the values of each call.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from pypika_tortoise.enums import Order
from pypika_tortoise.terms import Field as Column
from tortoise.exceptions import FieldError, ParamsError
from tortoise.models import Model

from addonkit.database.sql import prepared, quoted
from addonkit.tenant_data.queries import TENANT_COLUMN
from addonkit.text import near_matches

SHAPES = 1024
"""Maximum number of statements that are kept; a plugin has as many as there are calls of ``rows()`` in its code."""
FEW_COLUMNS = 15

RowClass = type[tuple[Any, ...]]


class Shape(NamedTuple):
    """What determines the statement of a call of ``rows()``; values do not.

    Attributes:
        model: The model.
        columns: Names of the fields to read, all by default; or a class made by ``typing.NamedTuple`` with these names.
        compared: Names of the fields that are compared with a value.
        empty: Names of the fields that must be NULL.
        order: Names of the fields to sort by; ``-`` before a name sorts in descending order.
        is_limited: Whether there is a maximum number of rows.
        dialect: The database's.
    """

    model: type[Model]
    columns: RowClass | tuple[str, ...]
    compared: tuple[str, ...]
    empty: tuple[str, ...]
    order: tuple[str, ...]
    is_limited: bool
    dialect: str


class RowStatement(NamedTuple):
    """A statement, with what converts its values and rows.

    Attributes:
        sql: The statement; its values are the tenant, the compared values, and the limit.
        encoders: Converts the value of each comparison as ``filter()`` does.
        readers: Converts a value that is not NULL from the database, by its place in a row.
        make: Makes a row of values.
    """

    sql: str
    encoders: tuple[Callable[[Any], Any], ...]
    readers: tuple[tuple[int, Callable[[Any], Any]], ...]
    make: Callable[[Any], Any]


@lru_cache(SHAPES)
def row_statement(shape: Shape) -> RowStatement:
    """Write the statement of a shape; the tenant is always its first condition.

    Raises:
        FieldError: A name is not a column of the model's table, or is given twice.
    """
    names = _names(shape)
    columns = [_column(shape.model, name) for name in names]
    if twice := next((name for place, name in enumerate(columns) if name in columns[:place]), None):
        raise FieldError(f"{_call(shape.model)} names '{twice}' twice; name it once")
    tables = f"{quoted(shape.model._meta.schema)}." if shape.model._meta.schema else ""
    conditions = [
        f"{quoted(shape.model._meta.fields_db_projection[TENANT_COLUMN])} = ?",
        *(f"{_expression(shape, name)} = ?" for name in shape.compared),
        *(f"{_expression(shape, name)} IS NULL" for name in shape.empty),
    ]
    order = ", ".join(_order(shape))
    sql = (
        f"SELECT {', '.join(quoted(shape.model._meta.fields_db_projection[name]) for name in columns)} "  # noqa: S608
        f"FROM {tables}{quoted(shape.model._meta.db_table)} WHERE {' AND '.join(conditions)}"
        f"{f' ORDER BY {order}' if order else ''}{' LIMIT ?' if shape.is_limited else ''}"
    )
    return RowStatement(
        prepared(sql),
        tuple(_encoder(shape.model, name) for name in shape.compared),
        tuple(_readers(shape.model, columns)),
        _row_class(shape, names)._make,  # type: ignore[attr-defined] # of every named tuple
    )


def _call(model: type[Model]) -> str:
    return f"{model.__name__}.rows()"


def _names(shape: Shape) -> tuple[str, ...]:
    if isinstance(shape.columns, type):
        fields: tuple[str, ...] = shape.columns._fields  # type: ignore[attr-defined] # of every named tuple
        return fields
    return shape.columns or tuple(shape.model._meta.fields_db_projection)


def _row_class(shape: Shape, names: tuple[str, ...]) -> RowClass:
    if isinstance(shape.columns, type):
        return shape.columns
    hidden = next((name for name in names if name.startswith("_")), None)
    if hidden is not None:
        raise FieldError(
            f"{_call(shape.model)} reads '{hidden}', and a named tuple has no names that begin with '_'; "
            f"name the other fields, or read it with {shape.model.__name__}.filter(…).values('{hidden}')"
        )
    return namedtuple(shape.model.__name__, names)


def _column(model: type[Model], name: str) -> str:
    """Return the name of the field with a column of its own.

    Raises:
        FieldError: There is none.
    """
    meta = model._meta
    name = meta.pk_attr if name == "pk" and "pk" not in meta.fields_map else name
    if name in meta.fields_db_projection:
        return name
    if name in meta.fetch_fields:
        source = getattr(meta.fields_map[name], "source_field", None)
        remedy = f"name its column '{source}'" if source in meta.fields_db_projection else "read it with a query"
        raise FieldError(f"{_call(model)} names '{name}', which is a relation of '{model.__name__}'; {remedy}")
    plain, separator, lookup = name.partition("__")
    if separator and plain in meta.fields_map:
        raise FieldError(
            f"{_call(model)} got the lookup '{name}', and compares by equality only; write "
            f"{model.__name__}.filter({plain}__{lookup}=…)"
        )
    near = near_matches(name, meta.fields_db_projection)
    known = sorted(meta.fields_db_projection)
    if near:
        remedy = "did you mean " + " or ".join(f"'{other}'" for other in near)
    else:
        remedy = f"it has {', '.join(known[:FEW_COLUMNS])}{', …' if len(known) > FEW_COLUMNS else ''}"
    raise FieldError(f"{_call(model)} names '{name}', which is not a field of '{model.__name__}'; {remedy}")


def _expression(shape: Shape, name: str) -> str:
    """Return a column as it is compared and sorted, as in Tortoise's queries."""
    meta = shape.model._meta
    attribute = _column(shape.model, name)
    column = meta.fields_db_projection[attribute]
    cast = meta.fields_map[attribute].get_for_dialect(shape.dialect, "function_cast")
    if cast is None:
        return quoted(column)
    return str(cast(meta.fields_map[attribute], Column(column)).get_sql(meta.db.query_class.SQL_CONTEXT))


def _order(shape: Shape) -> Iterator[str]:
    names = [(name.removeprefix("-"), name.startswith("-")) for name in shape.order]
    if not names:
        for name, direction in shape.model._meta.ordering:
            if name not in shape.model._meta.fields_db_projection and name != "pk":
                raise ParamsError(
                    f"{_call(shape.model)} would sort by '{name}', the default order of '{shape.model.__name__}', "
                    "which is not a column of its table; pass 'order'"
                )
            names.append((name, direction is Order.desc))
    known = set()
    for name, is_descending in names:
        column = _column(shape.model, name)
        if column in known:
            raise FieldError(f"{_call(shape.model)} sorts by '{column}' twice; name it once")
        known.add(column)
        yield f"{_expression(shape, name)} {'DESC' if is_descending else 'ASC'}"


def _encoder(model: type[Model], name: str) -> Callable[[Any], Any]:
    attribute = _column(model, name)
    info, field = model._meta.get_filter(attribute), model._meta.fields_map[attribute]
    encode = info.get("value_encoder")
    if encode is None:
        return lambda value: field.to_db_value(value, model)
    return lambda value: encode(value, model, field)


def _readers(model: type[Model], columns: list[str]) -> Iterator[tuple[int, Callable[[Any], Any]]]:
    """Yield the conversion of each column whose values are not as the driver gives them, as for rows of the model."""
    meta = model._meta
    readers: dict[str, Callable[[Any], Any]] = {name: field.field_type for _, name, field in meta.db_default_fields}
    readers |= {name: field.to_python_value for _, name, field in meta.db_complex_fields}
    for place, name in enumerate(columns):
        if name in readers:
            yield place, readers[name]
