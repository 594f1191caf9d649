"""Lookups by values that no row can hold: text that is too long or has NUL, and numbers beyond the column's range.

Such a condition is false, its negation is true, and ``__in`` leaves the value out, on both databases; Tortoise and the
drivers raise errors. Comparisons by order follow the numbers: every row is less than 2**70. Writes raise
``ValidationError``, see :func:`check_storable`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from pypika_tortoise.enums import Equality
from pypika_tortoise.terms import BasicCriterion, Criterion, Term, ValueWrapper
from tortoise.exceptions import ValidationError
from tortoise.expressions import Expression
from tortoise.fields.base import Field
from tortoise.fields.data import BigIntField, IntField, JSONField, SmallIntField
from tortoise.filters import FilterInfoDict, between_and, is_in, not_equal, not_in

INT64 = (-(2**63), 2**63 - 1)
INT32 = (-(2**31), 2**31 - 1)
INT16 = (-(2**15), 2**15 - 1)
ORDERED = {operator.gt: 1, operator.ge: 1, operator.lt: -1, operator.le: -1}
"""Whether larger or smaller rows match, by operator."""
LISTS = (is_in, not_in)
JSON_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""A NUL in JSON, which PostgreSQL's ``jsonb`` refuses."""


class Unstorable:
    """Stands for a value that no row can hold.

    Args:
        side: 1 if it is greater than all values of the column, -1 if it is less, 0 if it has no order.
    """

    def __init__(self, side: int = 0) -> None:
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


def integer_range(field: Field[Any] | None, dialect: str) -> tuple[int, int]:
    """Return the smallest and the largest integer that a column can hold; SQLite's integers all have 64 bits."""
    if dialect != "postgres" or isinstance(field, BigIntField) or not isinstance(field, IntField):
        return INT64
    return INT16 if isinstance(field, SmallIntField) else INT32


def safe_lookup(info: FilterInfoDict, field: Field[Any] | None, dialect: str) -> FilterInfoDict:
    """Return a filter of Tortoise that takes every value.

    Args:
        info: The filter, with its operator for this database.
        field: The field whose column is compared; None for an annotation.
        dialect: The database's.
    """
    # The values of annotations are not encoded.
    compare, encode = info["operator"], None if field is None else info.get("value_encoder")
    bounds = integer_range(field, dialect)

    def encode_one(value: Any, args: tuple[Any, ...], *, is_list: bool) -> Any:
        try:
            if encode is not None:
                encoded = encode([value], *args)[0] if is_list else encode(value, *args)
            else:
                encoded = value if field is None else field.to_db_value(value, args[0])
        except ValidationError:
            if compare not in ORDERED and compare is not between_and:
                return Unstorable()
            encoded = value
        except OverflowError:
            return Unstorable(1 if value > 0 else -1)
        if dialect == "postgres" and isinstance(field, JSONField) and isinstance(encoded, str):
            return Unstorable() if JSON_NUL.search(encoded) else encoded
        return _checked(encoded, bounds)

    def encode_value(value: Any, *args: Any) -> Any:
        if isinstance(value, Term):
            return encode(value, *args) if encode is not None else value
        if compare in LISTS:
            encoded = [encode_one(one, args, is_list=True) for one in value]
            return [one for one in encoded if not isinstance(one, Unstorable)]
        if compare is between_and:
            return [encode_one(one, args, is_list=True) for one in value]
        return encode_one(value, args, is_list=False)

    def compare_safely(term: Term, value: Any) -> Criterion:
        if field is None:
            value = encode_value(value)
        if compare is between_and and any(isinstance(one, Unstorable) for one in value):
            return _between(term, value[0], value[1], bounds)
        return (
            _compare_unstorable(compare, term, value, bounds) if isinstance(value, Unstorable) else compare(term, value)
        )

    safe: FilterInfoDict = {**info, "operator": compare_safely}
    if field is not None:
        safe["value_encoder"] = encode_value
    return safe


def _checked(value: Any, bounds: tuple[int, int]) -> Any:
    if isinstance(value, str):
        return value if is_storable_text(value) else Unstorable()
    if isinstance(value, int) and not isinstance(value, bool):
        return Unstorable(1) if value > bounds[1] else Unstorable(-1) if value < bounds[0] else value
    return value


def _constant(*, true: bool) -> Criterion:
    one, other = (ValueWrapper(number, allow_parametrize=False) for number in (1, 1 if true else 0))
    return BasicCriterion(Equality.eq, one, other)


def _compare_unstorable(
    compare: Callable[..., Any], term: Term, value: Unstorable, bounds: tuple[int, int]
) -> Criterion:
    if compare is not_equal:
        return _constant(true=True)
    if compare in ORDERED and value.side == -ORDERED[compare]:
        # All rows match that are not NULL.
        return term >= bounds[0]
    return _constant(true=False)


def _between(term: Term, low: Any, high: Any, bounds: tuple[int, int]) -> Criterion:
    ends = []
    for value, compare in ((low, operator.ge), (high, operator.le)):
        unstorable = isinstance(value, Unstorable)
        ends.append(_compare_unstorable(compare, term, value, bounds) if unstorable else compare(term, value))
    return ends[0] & ends[1]


def check_storable(fields: Mapping[str, Field[Any]], values: Iterable[tuple[str, Any]], dialect: str) -> None:
    """Check values that are about to be written, which one database would refuse and the other store or crash on.

    Args:
        fields: The model's fields by name.
        values: Names and values; expressions are left to the database.
        dialect: The database's.

    Raises:
        ValidationError: A text has NUL or half of a surrogate pair, or an integer is out of range.
    """
    for name, given in values:
        value = given.value if isinstance(given, Enum) else given
        if isinstance(value, str):
            if not is_storable_text(value):
                raise ValidationError(f"{name}: the text has NUL or half of a surrogate pair; remove it")
        elif isinstance(value, int) and not isinstance(value, (bool, Expression)):
            low, high = integer_range(fields.get(name), dialect)
            if isinstance(fields.get(name), IntField) and not low <= value <= high:
                raise ValidationError(f"{name}: the number must be between {low} and {high}")
