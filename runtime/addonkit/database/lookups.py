"""Lookups by values that no row can hold: text that is too long, has NUL or is no number, numbers beyond the range.

Such a condition is false, its negation is true, and ``__in`` leaves the value out, on both databases; Tortoise and the
drivers raise errors. Comparisons by order follow the numbers: every row is less than 2**70. Writes raise
``ValidationError``, see :func:`check_storable`. The conversions are in ``column_values``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, cast

from pypika_tortoise.enums import Equality
from pypika_tortoise.terms import BasicCriterion, Criterion, Term, ValueWrapper
from tortoise.exceptions import ValidationError
from tortoise.expressions import Expression
from tortoise.fields.base import Field
from tortoise.fields.data import BigIntField, DecimalField, IntField, JSONField, SmallIntField
from tortoise.filters import FilterInfoDict, between_and, is_in, not_equal, not_in
from tortoise.models import Model

from addonkit.database.column_values import INT64, Unstorable, comparable, is_storable_json, is_storable_text

INT32 = (-(2**31), 2**31 - 1)
INT16 = (-(2**15), 2**15 - 1)
ORDERED = {operator.gt: 1, operator.ge: 1, operator.lt: -1, operator.le: -1}
"""Whether larger or smaller rows match, by operator."""
LISTS = (is_in, not_in)
TYPED = {operator.eq, not_equal, *LISTS, *ORDERED, between_and}
"""Operators that compare the column's value, and not a part of it, such as a year."""
JSON_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""A NUL in JSON, which PostgreSQL's ``jsonb`` refuses."""


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
    lookup = _Lookup(info, field, dialect)
    safe: FilterInfoDict = {**info, "operator": lookup.compare}
    if field is not None:
        safe["value_encoder"] = lookup.encode
    return safe


class _Lookup:
    """One filter whose values are encoded, or become ``Unstorable`` if no row can hold them."""

    def __init__(self, info: FilterInfoDict, field: Field[Any] | None, dialect: str) -> None:
        self._compare, self._field, self._dialect = info["operator"], field, dialect
        # The values of annotations are not encoded.
        self._encoder = None if field is None else info.get("value_encoder")
        self._bounds = integer_range(field, dialect)
        self._is_ordered = self._compare in ORDERED or self._compare is between_and
        self._is_typed = field is not None and self._compare in TYPED

    def compare(self, term: Term, value: Any) -> Criterion:
        """Compare a column with encoded values, or an annotation with the caller's."""
        if self._field is None:
            value = self.encode(value)
        if self._compare is between_and and any(isinstance(one, Unstorable) for one in value):
            return _between(term, value[0], value[1])
        if isinstance(value, Unstorable):
            return _compare_unstorable(self._compare, term, value)
        criterion: Criterion = self._compare(term, value)
        return criterion

    def encode(self, value: Any, *args: Any) -> Any:
        """Encode the values of a filter; an ``__in`` leaves out those that no row can hold."""
        if isinstance(value, Term):
            return self._encoder(value, *args) if self._encoder is not None else value
        if self._compare in LISTS:
            encoded = [self._encode_one(one, args, is_list=True) for one in value]
            return [one for one in encoded if not isinstance(one, Unstorable)]
        if self._compare is between_and:
            return [self._encode_one(one, args, is_list=True) for one in value]
        return self._encode_one(value, args, is_list=False)

    def _encode_one(self, value: Any, args: tuple[Any, ...], *, is_list: bool) -> Any:
        if isinstance(value, Term):
            return value
        if isinstance(self._field, JSONField) and not is_storable_json(value):
            return Unstorable()
        encoded = self._converted(value, args, is_list=is_list)
        if self._dialect == "postgres" and isinstance(self._field, JSONField) and isinstance(encoded, str):
            return Unstorable() if JSON_NUL.search(encoded) else encoded
        return _checked(encoded, self._bounds)

    def _converted(self, value: Any, args: tuple[Any, ...], *, is_list: bool) -> Any:
        """Convert a value to its column's type and encode it; return the ``Unstorable`` of one that does not fit."""
        try:
            if self._is_typed:
                given = value.pk if isinstance(value, Model) else value
                value = comparable(cast("Field[Any]", self._field), given, self._dialect, ordered=self._is_ordered)
            return self._encoded(value, args, is_list=is_list)
        except Unstorable as unstorable:
            return unstorable
        except ValidationError:
            return value if self._is_ordered else Unstorable()
        except OverflowError:
            return Unstorable(1 if value > 0 else -1)
        except (TypeError, ValueError):
            if not isinstance(value, (int, str)):
                raise
            # Orders by values that are not in an enumeration are compared as they are.
            return value if self._is_typed and self._is_ordered else Unstorable()

    def _encoded(self, value: Any, args: tuple[Any, ...], *, is_list: bool) -> Any:
        if self._encoder is None:
            return value if self._field is None else self._field.to_db_value(value, args[0])
        return self._encoder([value], *args)[0] if is_list else self._encoder(value, *args)


def _checked(value: Any, bounds: tuple[int, int]) -> Any:
    if isinstance(value, str):
        return value if is_storable_text(value) else Unstorable()
    if isinstance(value, int) and not isinstance(value, bool):
        return Unstorable(1) if value > bounds[1] else Unstorable(-1) if value < bounds[0] else value
    return value


def _constant(*, true: bool) -> Criterion:
    one, other = (ValueWrapper(number, allow_parametrize=False) for number in (1, 1 if true else 0))
    return BasicCriterion(Equality.eq, one, other)


def _compare_unstorable(compare: Callable[..., Any], term: Term, value: Unstorable) -> Criterion:
    if compare is not_equal:
        return _constant(true=True)
    if compare in ORDERED and value.side == -ORDERED[compare]:
        # All rows match that are not NULL.
        return BasicCriterion(Equality.eq, term, term)
    return _constant(true=False)


def _between(term: Term, low: Any, high: Any) -> Criterion:
    ends = []
    for value, compare in ((low, operator.ge), (high, operator.le)):
        unstorable = isinstance(value, Unstorable)
        ends.append(_compare_unstorable(compare, term, value) if unstorable else compare(term, value))
    return ends[0] & ends[1]


def check_storable(fields: Mapping[str, Field[Any]], values: Iterable[tuple[str, Any]], dialect: str) -> None:
    """Check values that are about to be written, which one database would refuse and the other store or crash on.

    Args:
        fields: The model's fields by name.
        values: Names and values; expressions are left to the database.
        dialect: The database's.

    Raises:
        ValidationError: No row can hold a value: a text has NUL or half of a surrogate pair, a number is out of range,
            or a text is no number, date or UUID.
    """
    for name, given in values:
        value = given.value if isinstance(given, Enum) else given
        field = fields.get(name)
        if value is None or isinstance(value, (Expression, Term)):
            continue
        if isinstance(value, str) and not is_storable_text(value):
            raise ValidationError(f"{name}: the text has NUL or half of a surrogate pair; remove it")
        if isinstance(field, JSONField) and not is_storable_json(value):
            raise ValidationError(
                f"{name}: the JSON has a text with NUL or half of a surrogate pair, or an integer beyond 64 bits; "
                "remove it"
            )
        if field is not None:
            _check_column(name, field, value, dialect)


def _check_column(name: str, field: Field[Any], value: Any, dialect: str) -> None:
    low, high = integer_range(field, dialect)
    try:
        number = comparable(field, value, dialect, ordered=False)
        if isinstance(field, DecimalField):
            _check_digits(field, number, dialect)
    except Unstorable as exc:
        if isinstance(field, IntField) and exc.side:
            raise ValidationError(f"{name}: the number must be between {low} and {high}") from None
        raise ValidationError(
            f"{name}: its column, a {type(field).__name__}, cannot hold the value; check it before it is written"
        ) from None
    except TypeError:
        return  # left to Tortoise, which refuses it
    if isinstance(field, IntField) and isinstance(number, int) and not low <= number <= high:
        raise ValidationError(f"{name}: the number must be between {low} and {high}")


def _check_digits(field: DecimalField[Any], value: Any, dialect: str) -> None:
    """Refuse a number that PostgreSQL refuses, or that SQLite stores and Tortoise cannot read."""
    try:
        number = Decimal(value).quantize(field.quant)
    except InvalidOperation as exc:
        raise Unstorable from exc
    if dialect == "postgres" and abs(number) >= 10 ** (field.max_digits - field.decimal_places):
        raise Unstorable
