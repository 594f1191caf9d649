"""Converts what a lookup compares to the type of its column, and knows which values no column holds.

Tortoise and the drivers convert some values when a statement is sent, each in its own way: SQLite compares what it gets
as text, and PostgreSQL's driver raises an error. After this conversion, both databases compare the same.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

from tortoise.fields.base import Field
from tortoise.fields.data import (
    CharEnumFieldInstance,
    CharField,
    DateField,
    DatetimeField,
    DecimalField,
    FloatField,
    IntEnumFieldInstance,
    IntField,
    TextField,
    TimeDeltaField,
    TimeField,
    UUIDField,
)
from tortoise.timezone import get_use_tz

INT64 = (-(2**63), 2**63 - 1)
JSON_INTEGERS = (-(2**63), 2**64 - 1)
"""The integers that the encoder of JSON takes."""
DIGITS = re.compile(r"\s*([+-]?)[0-9]+\s*", re.ASCII)
MIDDLE = datetime.datetime(5000, 1, 1)


class Unstorable(Exception):
    """A value that no row can hold; raised by a conversion, and used in the value's place.

    Args:
        side: 1 if it is greater than all values of the column, -1 if it is less, 0 if it has no order.
    """

    def __init__(self, side: int = 0) -> None:
        super().__init__()
        self.side = side


def is_storable_text(text: str) -> bool:
    """Whether both databases can store a text: without NUL and without halves of surrogate pairs."""
    if "\0" in text:
        return False
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable_json(value: object) -> bool:
    """Whether both databases can store a JSON value: its texts are storable, and its integers have 64 bits."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            if not is_storable_text(one):
                return False
        elif isinstance(one, int):
            if not JSON_INTEGERS[0] <= one <= JSON_INTEGERS[1]:
                return False
        elif isinstance(one, Mapping):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple)):
            pending += one
    return True


def comparable(field: Field[Any], value: Any, dialect: str, *, ordered: bool) -> Any:
    """Convert a value to the type of a field's column.

    Args:
        field: The field.
        value: What the column is compared with; no expression.
        dialect: The database's.
        ordered: Whether it is compared by order, which values that no row can hold have as well.

    Raises:
        Unstorable: The value is not one of the column.
        TypeError: The value is not of this kind at all, such as a list for a number.
    """
    convert = _conversion(type(field))
    if value is None or convert is None:
        return value
    try:
        return convert(field, value, dialect, ordered)
    except OverflowError as exc:
        raise Unstorable(1 if value > 0 else -1) from exc
    except (ValueError, ArithmeticError) as exc:
        raise Unstorable from exc


def _number(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    # Digits that are too many for int() are compared as the number that they are.
    if isinstance(value, str) and len(value) > 1000 and (digits := DIGITS.fullmatch(value)):
        raise Unstorable(-1 if digits[1] == "-" else 1)
    return int(value)


def _number_of_enum(field: IntEnumFieldInstance, value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    number = int(value.value if isinstance(value, Enum) else value)
    if ordered:
        return number
    return field.enum_type(number if isinstance(value, (str, Enum)) or number == value else value)


def _text_of_enum(field: CharEnumFieldInstance, value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    if isinstance(value, field.enum_type):
        return value
    return str(value) if ordered else field.enum_type(value)


def _text(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    return str(value) if isinstance(value, (int, Decimal, UUID)) and not isinstance(value, Enum) else value


def _float(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    number = float(value)
    # SQLite stores NULL for it.
    if math.isnan(number) and dialect == "sqlite":
        raise Unstorable
    return number


def _decimal(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    number = Decimal(value)
    if number.is_nan():
        raise Unstorable
    if number.is_infinite():
        raise Unstorable(1 if number > 0 else -1)
    return value


def _moment(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = field.to_python_value(value)
    elif isinstance(value, float) and math.isnan(value):
        raise Unstorable
    elif type(value) is datetime.date:
        value = datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC if get_use_tz() else None)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        try:
            value.astimezone(datetime.UTC)
        except OverflowError as exc:
            raise Unstorable(1 if value.year > MIDDLE.year else -1) from exc
    return value


def _date(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, float) and math.isnan(value):
        raise Unstorable
    return field.to_python_value(value) if isinstance(value, str) else value


def _time(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    return field.to_python_value(value) if isinstance(value, str) else value


def _duration(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    if isinstance(value, str):
        raise Unstorable
    duration = field.to_python_value(value) if isinstance(value, int) else value
    if isinstance(duration, datetime.timedelta):
        microseconds = duration // datetime.timedelta(microseconds=1)
        if not INT64[0] <= microseconds <= INT64[1]:
            raise Unstorable(1 if microseconds > 0 else -1)
    return duration


def _uuid(field: Field[Any], value: Any, dialect: str, ordered: bool) -> Any:  # noqa: ARG001
    return value if isinstance(value, UUID) else UUID(str(value))


Conversion = Callable[[Any, Any, str, bool], Any]
CONVERSIONS: tuple[tuple[type[Field[Any]], Conversion], ...] = (
    (IntEnumFieldInstance, _number_of_enum),
    (CharEnumFieldInstance, _text_of_enum),
    (IntField, _number),
    (CharField, _text),
    (TextField, _text),
    (FloatField, _float),
    (DecimalField, _decimal),
    (DatetimeField, _moment),
    (DateField, _date),
    (TimeField, _time),
    (TimeDeltaField, _duration),
    (UUIDField, _uuid),
)
"""The conversion for each kind of field; a field has the first that fits."""


@cache
def _conversion(kind: type[Field[Any]]) -> Conversion | None:
    return next((convert for base, convert in CONVERSIONS if issubclass(kind, base)), None)
