"""What a database gives for a column, as JSON that says it exactly: also where only the column's type is known."""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

import orjson
from tortoise.context import get_current_context
from tortoise.fields import BooleanField

Convert = Callable[[Any], Any]


def converters(table: str, columns: Mapping[str, str]) -> dict[str, Convert]:
    """Give what makes JSON of each column's values: times with their zone, decimals as text, bytes as base64.

    Args:
        table: The table's name.
        columns: Type of each column, in the database's words.
    """
    truths = _booleans(table)
    return {name: _truth if name in truths else _converter(type_.lower()) for name, type_ in columns.items()}


def _converter(type_: str) -> Convert:
    if type_.startswith("json"):
        return _json
    return _moment if type_.startswith("timestamp") else _plain


def _booleans(table: str) -> set[str]:
    """The columns that hold yes or no. SQLite has no such type: a model tells, if its plugin imports."""
    context = get_current_context()
    models = [model for app in ((context and context.apps) or {}).values() for model in app.values()]
    return {
        str(field.source_field or name)
        for model in models
        if model._meta.db_table == table  # noqa: SLF001 - where Tortoise keeps it
        for name, field in model._meta.fields_map.items()  # noqa: SLF001 - as above
        if isinstance(field, BooleanField)
    }


def _json(value: Any) -> Any:
    """JSON as it is stored, not parsed: no number loses a digit."""
    if not isinstance(value, str):
        return _plain(value)
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    # What ends a line can only stand between values: within text it is escaped.
    return orjson.Fragment(value.replace("\n", " ").replace("\r", " "))


def _moment(value: Any) -> Any:
    """A time with its zone; what was stored without one is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    if not isinstance(moment, datetime):
        return _plain(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _truth(value: Any) -> Any:
    return bool(value) if value in (0, 1) else _plain(value)


def _plain(value: Any) -> Any:
    """A value that JSON knows, or text that says it exactly."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return _moment(value)
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case list() | tuple():
            return [_plain(one) for one in value]
    return str(value)
