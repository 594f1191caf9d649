# ruff: noqa: SLF001 - a model's fields are in _meta, as Tortoise documents
"""Rows that are only shown: named tuples, read without an object of the model for each, by a constant statement.

Such a query is bound to its tenant like every other one, and executes in that tenant's scope only.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pypika_tortoise.terms import Term
from tortoise.exceptions import ParamsError
from tortoise.expressions import Expression, Q
from tortoise.fields.data import JSONField
from tortoise.models import Model
from tortoise.queryset import AwaitableQuery

from addonkit.database.column_values import Unstorable
from addonkit.tenant_data.queries import TenantBound, within_64_bits
from addonkit.tenant_data.row_statements import RowClass, RowStatement, Shape, row_statement

ROW = TypeVar("ROW", bound=tuple[Any, ...])
SortedBy = str | Sequence[str]


class RowsQuery(Generic[ROW]):
    """A query that returns named tuples; await it.

    Args:
        model: The model.
        columns: Names of fields, or one class made by ``typing.NamedTuple``.
        equal: The values that fields must have, by name; None: NULL.
        order: Names of fields to sort by.
        limit: Maximum number of rows.
    """

    _owner: tuple[Any, int]

    def __init__(
        self,
        model: type[Model],
        columns: tuple[Any, ...],
        equal: Mapping[str, Any],
        order: SortedBy,
        limit: int | None,
    ) -> None:
        self.model = model
        _check_ambiguous(model, order, limit)
        compared = {name: value for name, value in equal.items() if value is not None}
        shape = Shape(
            model,
            _columns(model, columns),
            tuple(compared),
            tuple(name for name, value in equal.items() if value is None) if len(compared) < len(equal) else (),
            _names(model, order),
            limit is not None,
            model._meta.db.capabilities.dialect,
        )
        self._statement = row_statement(shape)
        self._limit = None if limit is None else _checked_limit(model, limit)
        self._values = _encoded(model, self._statement, compared)

    def __await__(self) -> Generator[Any, None, list[ROW]]:
        """Read the rows."""
        return self._read().__await__()

    async def _read(self) -> list[ROW]:
        if self._values is None:
            return []
        statement = self._statement
        values = [self._owner[1], *self._values]
        if self._limit is not None:
            values.append(self._limit)
        _, rows = await self.model._meta.db.execute_query(statement.sql, values)
        make = statement.make
        if not statement.readers:
            return [make(row) for row in rows]
        return [make(_converted(row, statement)) for row in rows]


class TenantRows(TenantBound, RowsQuery[ROW]):
    """Named tuples of the tenant's rows that are only shown."""

    def __init__(
        self, model: type[Model], columns: tuple[Any, ...], equal: Mapping[str, Any], order: SortedBy, limit: int | None
    ) -> None:
        self.keep_tenant()
        super().__init__(model, columns, equal, order, limit)

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, list[ROW]]:
            """Check the scope and read the rows."""


def _converted(row: Any, statement: RowStatement) -> list[Any]:
    cells = list(row)
    for place, read in statement.readers:
        cell = cells[place]
        if cell is not None:
            cells[place] = read(cell)
    return cells


def _encoded(model: type[Model], statement: RowStatement, compared: Mapping[str, Any]) -> list[Any] | None:
    """Encode the compared values; None if no row can hold one of them."""
    values = []
    for (name, value), encode in zip(compared.items(), statement.encoders, strict=True):
        _check_value(model, name, value)
        values.append(encode(value))
    return None if any(isinstance(value, Unstorable) for value in values) else values


def _check_value(model: type[Model], name: str, value: Any) -> None:
    if isinstance(value, (Expression, Term, Q, AwaitableQuery, RowsQuery)):
        raise TypeError(
            f"{model.__name__}.rows() compares '{name}' with a value, got an expression ({type(value).__name__}); "
            f"write {model.__name__}.filter({name}=…)"
        )
    if isinstance(value, (list, tuple, set, frozenset, dict)) and not isinstance(
        model._meta.fields_map.get(name), JSONField
    ):
        raise TypeError(
            f"{model.__name__}.rows() compares '{name}' with one value, got a {type(value).__name__}; "
            f"write {model.__name__}.filter({name}__in=…)"
        )
    if isinstance(value, Model):
        raise TypeError(
            f"{model.__name__}.rows() compares '{name}' with a value, got a row of '{type(value).__name__}'; "
            "write its primary key"
        )


def _columns(model: type[Model], columns: tuple[Any, ...]) -> RowClass | tuple[str, ...]:
    """Return the names, or the class of named tuples that was given in their place."""
    first = columns[0] if columns else None
    if isinstance(first, type) and issubclass(first, tuple) and hasattr(first, "_fields"):
        if len(columns) > 1:
            raise TypeError(f"{model.__name__}.rows() got the class '{first.__name__}' and names; pass one of both")
        return first
    for name in columns:
        if not isinstance(name, str):
            raise TypeError(
                f"{model.__name__}.rows() expected names of fields as separate arguments, or one class of "
                f"typing.NamedTuple, got {_kind(name)}"
            )
    return columns


def _names(model: type[Model], order: SortedBy) -> tuple[str, ...]:
    names = (order,) if isinstance(order, str) else order
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{model.__name__}.rows() expected a list of names as 'order', got {_kind(order)}")
    return tuple(names)


def _checked_limit(model: type[Model], limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"{model.__name__}.rows() expected a number of rows as 'limit', got {_kind(limit)}")
    if limit < 0:
        raise ParamsError(f"{model.__name__}.rows() got the limit {limit}; it must be 0 or more")
    return within_64_bits(limit)


def _check_ambiguous(model: type[Model], order: SortedBy, limit: int | None) -> None:
    """Refuse an option that may be meant as the value of a field with the same name.

    Raises:
        ParamsError: The model has such a field; ``order`` is accepted as a list, which no field is compared with.
    """
    fields = model._meta.fields_map
    name = "limit" if limit is not None and "limit" in fields else "order" if "order" in fields else None
    if name is None or (name == "order" and isinstance(order, (list, tuple))):
        return
    other = "order=[…] to sort" if name == "order" else f"{model.__name__}.filter(…).limit(…) to read fewer rows"
    raise ParamsError(
        f"{model.__name__}.rows() got '{name}', which is also a field of '{model.__name__}'; "
        f"write {model.__name__}.filter({name}=…) to compare it, or {other}"
    )


def _kind(value: object) -> str:
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"the class '{name}'" if isinstance(value, type) else f"a value of the type '{name}'"
