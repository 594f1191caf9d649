# ruff: noqa: SLF001 - a model's fields and manager are in _meta, as Tortoise documents
"""The manager of tenant-bound models: every query is filtered by the current tenant, and every write is checked.

A write is refused if it concerns another tenant's row, changes the column ``tenant_id``, or sets a relation to another
tenant's row, which a join would follow. The manager knows the column; rows check themselves in ``model``, queries in
``queries``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pypika_tortoise.terms import Term
from tortoise.expressions import Expression, Q
from tortoise.filters import FilterInfoDict
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import (
    BulkCreateQuery,
    BulkUpdateQuery,
    ContainsQuery,
    CountQuery,
    DeleteQuery,
    ExistsQuery,
    QuerySet,
    RawSQLQuery,
    UnionQuery,
    UpdateQuery,
    ValuesListQuery,
    ValuesQuery,
)

from addonkit.current import check_writable
from addonkit.database.lookups import safe_lookup
from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.queries import TENANT_COLUMN, TenantBound, bind, within_64_bits
from addonkit.tenant_data.scope import current_tenant

MODEL = TypeVar("MODEL", bound=Model)


class TenantQuerySet(TenantBound, QuerySet[MODEL]):
    """A query that was created in a tenant scope, and reads and writes rows of that tenant only.

    Args:
        model: The model.

    Raises:
        TenantMissing: The task is in no tenant scope.
    """

    __slots__ = ()

    def __init__(self, model: type[MODEL]) -> None:
        super().__init__(model)
        self.keep_tenant()
        self._q_objects.append(Q(tenant_id=current_tenant().id))

    def _clone(self) -> TenantQuerySet[MODEL]:
        clone = super()._clone()
        assert isinstance(clone, TenantQuerySet)  # noqa: S101 - of the same class; for the type checker
        clone._owner = self._owner
        return clone

    def only(self, *fields_for_select: str) -> QuerySet[MODEL]:
        """Read some columns, and always ``tenant_id``."""
        extra = () if TENANT_COLUMN in fields_for_select or not fields_for_select else (TENANT_COLUMN,)
        return super().only(*fields_for_select, *extra)

    def annotate(self, **kwargs: Expression | Term) -> QuerySet[MODEL]:
        """Add computed columns; lookups by them take every value."""
        rows = super().annotate(**kwargs)
        database = self.model._meta.db
        for key, info in rows._custom_filters.items():
            if info["field"] in kwargs:
                compare = database.executor_class.get_overridden_filter_func(info["operator"], info)
                resolved: FilterInfoDict = {**info, "operator": compare or info["operator"]}
                rows._custom_filters[key] = safe_lookup(resolved, None, database.capabilities.dialect)
        return rows

    def limit(self, limit: int) -> QuerySet[MODEL]:
        """Read no more than this number of rows; one beyond 64 bits reads all."""
        return super().limit(within_64_bits(limit))

    def offset(self, offset: int) -> QuerySet[MODEL]:
        """Skip this number of rows; one beyond 64 bits skips all."""
        return super().offset(within_64_bits(offset))

    def values(self, *args: str, **kwargs: str) -> ValuesQuery[Any]:
        """Read dictionaries of some columns."""
        return bind(super().values(*args, **kwargs), self)

    def values_list(self, *fields_: str, flat: bool = False) -> ValuesListQuery[Any]:
        """Read tuples of some columns; with ``flat``, the values of one."""
        return bind(super().values_list(*fields_, flat=flat), self)

    def count(self) -> CountQuery:
        """Count the rows."""
        return bind(super().count(), self)

    def exists(self) -> ExistsQuery:
        """Tell whether there is a row."""
        return bind(super().exists(), self)

    def contains(self, obj: MODEL) -> ContainsQuery:
        """Tell whether a row is among those that match."""
        return bind(super().contains(obj), self)

    def raw(self, sql: str) -> RawSQLQuery:
        """Read rows by a statement that is written by hand."""
        return bind(super().raw(sql), self)

    def union(self, *other_qs: QuerySet[MODEL], all: bool = False) -> UnionQuery[MODEL]:  # noqa: A002 - Tortoise's name
        """Read the rows of several queries."""
        return bind(super().union(*other_qs, all=all), self)

    def delete(self) -> DeleteQuery:
        """Delete the tenant's rows that match."""
        check_writable()
        return bind(super().delete(), self)

    def update(self, **kwargs: Any) -> UpdateQuery:
        """Update the tenant's rows that match; ``tenant_id`` cannot be changed."""
        check_writable()
        _refuse_tenant_column(self.model, kwargs)
        return bind(super().update(**kwargs), self)

    def bulk_update(
        self, objects: Iterable[MODEL], fields: Iterable[str], batch_size: int | None = None
    ) -> BulkUpdateQuery[MODEL]:
        """Update some columns of rows that were read in this tenant scope."""
        check_writable()
        rows, names = list(objects), list(fields)
        _refuse_tenant_column(self.model, names)
        if any(row.pk is None for row in rows):
            raise ValueError("bulk_update() got a row without a primary key; read it first")
        return bind(super().bulk_update(rows, names, batch_size), self)

    def bulk_create(
        self,
        objects: Iterable[MODEL],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_fields: Iterable[str] | None = None,
        on_conflict: Iterable[str] | None = None,
    ) -> BulkCreateQuery[MODEL]:
        """Insert rows for the current tenant.

        Args:
            objects: The rows; ``tenant_id`` is set.
            batch_size: Maximum number of rows per statement.
            ignore_conflicts: Skip rows that exist.
            update_fields: Columns to update where a row exists.
            on_conflict: The unique columns that identify an existing row; ``tenant_id`` must be among them, or the
                row could be another tenant's.
        """
        check_writable()
        rows: list[Any] = list(objects)
        updated, unique = list(update_fields or ()), list(on_conflict or ())
        _refuse_tenant_column(self.model, updated)
        if updated and TENANT_COLUMN not in unique:
            raise CrossTenantWrite(
                f"bulk_create() of '{self.model.__name__}' may update another tenant's row; "
                f"add '{TENANT_COLUMN}' to its unique columns and to on_conflict"
            )
        for row in rows:
            row.assign_tenant()
        return bind(super().bulk_create(rows, batch_size, ignore_conflicts, updated or None, unique or None), self)


def _refuse_tenant_column(model: type[Model], names: Iterable[str]) -> None:
    if TENANT_COLUMN in names:
        raise CrossTenantWrite(
            f"'{TENANT_COLUMN}' of '{model.__name__}' cannot be changed; a row stays with its tenant"
        )


class TenantManager(Manager):
    """The manager that creates every query of a tenant-bound model; other managers of a model derive from it."""

    def get_queryset(self) -> TenantQuerySet[Any]:
        """Return a query of the current tenant's rows.

        Raises:
            TenantMissing: The task is not in a tenant scope.
        """
        return TenantQuerySet(self._model)
