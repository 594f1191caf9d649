# ruff: noqa: SLF001 - a model's fields and manager are in _meta, as Tortoise documents
"""The queries of tenant-bound models: each keeps the tenant of its scope, and compares it when it executes.

There is one class for each of Tortoise's query classes. ``bind`` gives a query that Tortoise made the class that checks
it. Writes are checked as well: relations lead to rows of the tenant, and given rows are the tenant's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, TypeVar, cast

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Expression
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.models import Model
from tortoise.queryset import (
    AwaitableQuery,
    BulkCreateQuery,
    BulkUpdateQuery,
    ContainsQuery,
    CountQuery,
    DeleteQuery,
    ExistsQuery,
    RawSQLQuery,
    UnionCountQuery,
    UnionQuery,
    UpdateQuery,
    ValuesListQuery,
    ValuesQuery,
)

from addonkit.current import check_writable, current_work
from addonkit.database.column_values import INT64
from addonkit.database.lookups import check_storable
from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.scope import current_tenant

QUERY = TypeVar("QUERY", bound="AwaitableQuery[Any] | UnionQuery[Any]")
TENANT_COLUMN = "tenant_id"


def relations(model: type[Model]) -> list[ForeignKeyFieldInstance[Any]]:
    """Return the foreign keys of a model: the relations whose column is in its own table."""
    fields = (model._meta.fields_map[name] for name in sorted(model._meta.fk_fields | model._meta.o2o_fields))
    return [field for field in fields if isinstance(field, ForeignKeyFieldInstance)]


def relation_column(field: ForeignKeyFieldInstance[Any]) -> str:
    """Return the name of the attribute with a relation's value: ``note_id`` for ``note``."""
    return str(field.source_field)


async def check_targets(field: ForeignKeyFieldInstance[Any], values: Iterable[object], db: BaseDBAsyncClient) -> None:
    """Check with a query that the values of a relation refer to rows of the current tenant.

    Raises:
        CrossTenantWrite: A row belongs to another tenant, does not exist, or is an expression instead of a value.
    """
    given = [value for value in values if value is not None]
    if any(isinstance(value, Expression) for value in given):
        raise _foreign_target(field)
    wanted = set(given)
    if not wanted:
        return
    attribute = field.to_field_instance.model_field_name
    rows = field.related_model._meta.manager.get_queryset().using_db(db).filter(**{f"{attribute}__in": list(wanted)})
    if await rows.count() != len(wanted):
        raise _foreign_target(field)


def _foreign_target(field: ForeignKeyFieldInstance[Any]) -> CrossTenantWrite:
    return CrossTenantWrite(
        f"'{field.model.__name__}.{field.model_field_name}' refers to a '{field.related_model.__name__}' that "
        "the current tenant does not have; get() it in this tenant scope first"
    )


def within_64_bits(number: int) -> int:
    """Return the number of rows that a LIMIT or OFFSET can have; no table has more."""
    return min(number, INT64[1])


class TenantBound:
    """A query that executes only in the scope of the tenant, and for the add-on, for which it was created.

    It is mixed into a query class of Tortoise. Execution, and use as a subquery, begin in one of the two methods.
    """

    __slots__ = ()  # Tortoise's classes have a __dict__
    _owner: tuple[Any, int]

    def keep_tenant(self) -> None:
        """Keep the current add-on and tenant as those of this query.

        Raises:
            TenantMissing: The task is in no tenant scope.
        """
        self._owner = (current_work().runtime, current_tenant().id)  # type: ignore[misc] # in the __dict__

    def check_scope(self) -> None:
        """Compare the query's tenant with the current one.

        Raises:
            CrossTenantWrite: The query was created in another tenant's scope, or for another add-on.
            TenantMissing: The task is in no tenant scope.
        """
        runtime, number = self._owner
        tenant = current_tenant()
        if number != tenant.id or runtime is not current_work().runtime:
            model = self.model  # type: ignore[attr-defined] # of Tortoise's class
            raise CrossTenantWrite(
                f"a query of '{model.__name__}' that was created in the scope of tenant {number} was executed in "
                f"the scope of tenant {tenant.id}; create a query in the scope in which it executes"
            )

    def _make_query(self) -> None:
        self.check_scope()
        super()._make_query()  # type: ignore[misc] # of Tortoise's class

    def __await__(self) -> Generator[Any, None, Any]:
        """Check the scope and execute; a generator, so that the scope is that of the task which runs it."""
        self.check_scope()
        return (yield from super().__await__())  # type: ignore[misc] # of Tortoise's class


class TenantWrite(TenantBound):
    """A query that writes, and is refused where the running code may only read."""

    __slots__ = ()

    def check_scope(self) -> None:
        """Compare the query's tenant with the current one, whose rows the running code must be allowed to write."""
        check_writable()
        super().check_scope()


class TenantUpdate(TenantWrite, UpdateQuery):
    """An UPDATE by condition that checks values and relations before it runs."""

    __slots__ = ()

    def _make_query(self) -> None:
        check_storable(self.model._meta.fields_map, self.update_kwargs.items(), self.capabilities.dialect)
        super()._make_query()

    async def _execute(self) -> int:
        for field in relations(self.model):
            column = relation_column(field)
            values = [self.update_kwargs[column]] if column in self.update_kwargs else []
            related = self.update_kwargs.get(field.model_field_name)
            if related is not None:
                values.append(getattr(related, field.to_field_instance.model_field_name))
            await check_targets(field, values, self._db)
        return await super()._execute()


class TenantBulkUpdate(TenantWrite, BulkUpdateQuery[Any]):
    """An UPDATE of given rows that checks them before it runs."""

    __slots__ = ()

    def _make_queries(self) -> list[tuple[str, list[Any]]]:
        # Before Tortoise converts the values, and raises other errors.
        for row in self._objects:
            row.check_values(self.fields)
        return super()._make_queries()

    async def _execute_many(self, queries_with_params: list[tuple[str, list[Any]]]) -> int:
        for row in self._objects:
            row.check_tenant("update")
        for field in relations(self.model):
            column = relation_column(field)
            if column in self.fields:
                await check_targets(field, {getattr(row, column) for row in self._objects}, self._db)
        return await super()._execute_many(queries_with_params)


class TenantBulkCreate(TenantWrite, BulkCreateQuery[Any]):
    """An INSERT of many rows that sets their tenant and checks them before it runs."""

    __slots__ = ()

    async def _execute_many(self, *statements: Any) -> None:
        for row in self._objects:
            row.assign_tenant()
            row.check_values()
        for field in relations(self.model):
            column = relation_column(field)
            await check_targets(field, {getattr(row, column) for row in self._objects}, self._db)
        await super()._execute_many(*statements)


class TenantDelete(TenantWrite, DeleteQuery):
    """A DELETE by condition."""

    __slots__ = ()


class TenantExists(TenantBound, ExistsQuery):
    """Whether any row matches."""

    __slots__ = ()


class TenantContains(TenantBound, ContainsQuery):
    """Whether a row is among those that match."""


class TenantCount(TenantBound, CountQuery):
    """The number of rows that match."""

    __slots__ = ()


class TenantValuesList(TenantBound, ValuesListQuery[Any]):
    """Tuples of some columns."""

    __slots__ = ()


class TenantValues(TenantBound, ValuesQuery[Any]):
    """Dictionaries of some columns."""

    __slots__ = ()


class TenantRaw(TenantBound, RawSQLQuery):
    """Rows of a statement that was written by hand."""

    __slots__ = ()


class TenantUnionCount(TenantBound, UnionCountQuery):
    """The number of rows of a union."""

    __slots__ = ()


class TenantUnion(TenantBound, UnionQuery[Any]):
    """The rows of several queries."""

    __slots__ = ()

    def _clone(self) -> TenantUnion:
        clone = cast("TenantUnion", super()._clone())
        clone._owner = self._owner
        return clone

    def limit(self, limit: int) -> UnionQuery[Any]:
        """Read no more than this number of rows; one beyond 64 bits reads all."""
        return super().limit(within_64_bits(limit))

    def offset(self, offset: int) -> UnionQuery[Any]:
        """Skip this number of rows; one beyond 64 bits skips all."""
        return super().offset(within_64_bits(offset))

    def count(self) -> UnionCountQuery:
        """Return the number of rows."""
        return bind(super().count(), self)


BOUND: dict[type, type] = {
    UpdateQuery: TenantUpdate,
    BulkUpdateQuery: TenantBulkUpdate,
    BulkCreateQuery: TenantBulkCreate,
    DeleteQuery: TenantDelete,
    ExistsQuery: TenantExists,
    ContainsQuery: TenantContains,
    CountQuery: TenantCount,
    ValuesListQuery: TenantValuesList,
    ValuesQuery: TenantValues,
    RawSQLQuery: TenantRaw,
    UnionQuery: TenantUnion,
    UnionCountQuery: TenantUnionCount,
}
"""The class that checks the scope, by the class of Tortoise."""


def bind(query: QUERY, origin: TenantBound) -> QUERY:
    """Give a query that Tortoise made from another the class that checks the scope, and the other's tenant."""
    query.__class__ = BOUND[type(query)]  # the classes add no slots, so that instances can change between them
    cast("TenantBound", query)._owner = origin._owner  # type: ignore[misc] # in the __dict__
    return query
