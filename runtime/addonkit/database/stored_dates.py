"""Parses the dates that SQLite stores as text, by ``fromisoformat`` in place of Tortoise's parser.

Tortoise's parser takes every spelling of ISO 8601 and needs 6 µs for each date. What the runtime stores is always
spelt as ``isoformat()`` does; such text is parsed here, and any other text by Tortoise's parser, to the same value.
"""

import re
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from tortoise.fields.base import Field
from tortoise.fields.data import DateField, DatetimeField
from tortoise.models import Model

MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?"
    r"(?:[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class _StoredMoment:
    """Reads the column of a ``DatetimeField``, in the field's place."""

    def __init__(self, field: Field[Any]) -> None:
        self._convert = field.to_python_value

    def to_python_value(self, value: Any) -> Any:
        if type(value) is str and MOMENT.fullmatch(value):
            with suppress(ValueError):  # such as day 31 of February; Tortoise's parser raises its own error
                value = datetime.fromisoformat(value)
        return self._convert(value)


class _StoredDay:
    """Reads the column of a ``DateField``, in the field's place."""

    def __init__(self, field: Field[Any]) -> None:
        self._convert = field.to_python_value

    def to_python_value(self, value: Any) -> Any:
        if type(value) is str and DAY.fullmatch(value):
            with suppress(ValueError):
                return date.fromisoformat(value)
        return self._convert(value)


READERS: dict[Any, type[_StoredMoment] | type[_StoredDay]] = {
    DatetimeField.to_python_value: _StoredMoment,
    DateField.to_python_value: _StoredDay,
}
"""The reader for each method that it stands for; a field with a method of its own keeps it."""


def read_dates_fast(model: type[Model]) -> None:
    """Let the dates of a model's rows be parsed by ``fromisoformat``; call it when a database has loaded the model."""
    columns: list[tuple[str, str, Any]] = model._meta.db_complex_fields  # noqa: SLF001 - as Tortoise's users reach a model's fields
    for place, (column, name, field) in enumerate(columns):
        reader = READERS.get(type(field).to_python_value)
        if reader is not None:
            columns[place] = (column, name, reader(field))
