# ruff: noqa: SLF001 - a model's fields and manager are in _meta, as Tortoise documents
"""The manager of tenant-bound models: every query is filtered by the current tenant, and every write is checked.

A write is refused if it concerns another tenant's row, changes the column ``tenant_id``, or sets a relation to another
tenant's row, which a join would follow. The manager knows the column; rows check themselves in ``model``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Expression
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import BulkCreateQuery, BulkUpdateQuery, DeleteQuery, QuerySet, UpdateQuery

from addonkit.current import check_writable
from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.scope import current_tenant

MODEL = TypeVar("MODEL", bound=Model)
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


class TenantUpdate(UpdateQuery):
    """An UPDATE by condition that checks relations before it runs."""

    async def _execute(self) -> int:
        for field in relations(self.model):
            column = relation_column(field)
            values = [self.update_kwargs[column]] if column in self.update_kwargs else []
            related = self.update_kwargs.get(field.model_field_name)
            if related is not None:
                values.append(getattr(related, field.to_field_instance.model_field_name))
            await check_targets(field, values, self._db)
        return await super()._execute()


class TenantBulkUpdate(BulkUpdateQuery[Any]):
    """An UPDATE of given rows that checks them before it runs."""

    async def _execute_many(self, queries_with_params: list[tuple[str, list[Any]]]) -> int:
        for row in self._objects:
            row.check_tenant("update")
        for field in relations(self.model):
            column = relation_column(field)
            if column in self.fields:
                await check_targets(field, {getattr(row, column) for row in self._objects}, self._db)
        return await super()._execute_many(queries_with_params)


class TenantBulkCreate(BulkCreateQuery[Any]):
    """An INSERT of many rows that sets their tenant and checks them before it runs."""

    async def _execute_many(self, *statements: Any) -> None:
        for row in self._objects:
            row.assign_tenant()
        for field in relations(self.model):
            column = relation_column(field)
            await check_targets(field, {getattr(row, column) for row in self._objects}, self._db)
        await super()._execute_many(*statements)


class TenantQuerySet(QuerySet[MODEL]):
    """A query that was created in a tenant scope, and reads and writes rows of that tenant only."""

    __slots__ = ()

    def only(self, *fields_for_select: str) -> QuerySet[MODEL]:
        """Read some columns, and always ``tenant_id``."""
        extra = () if TENANT_COLUMN in fields_for_select or not fields_for_select else (TENANT_COLUMN,)
        return super().only(*fields_for_select, *extra)

    def update(self, **kwargs: Any) -> UpdateQuery:
        """Update the tenant's rows that match; ``tenant_id`` cannot be changed."""
        check_writable()
        _refuse_tenant_column(self.model, kwargs)
        return TenantUpdate(
            db=self._db,
            model=self.model,
            update_kwargs=kwargs,
            q_objects=self._q_objects,
            annotations=self._annotations,
            custom_filters=self._custom_filters,
            limit=self._limit,
            orderings=self._orderings,
        )

    def delete(self) -> DeleteQuery:
        """Delete the tenant's rows that match."""
        check_writable()
        return super().delete()

    def bulk_update(
        self, objects: Iterable[MODEL], fields: Iterable[str], batch_size: int | None = None
    ) -> BulkUpdateQuery[MODEL]:
        """Update some columns of rows that were read in this tenant scope."""
        check_writable()
        rows, names = list(objects), list(fields)
        _refuse_tenant_column(self.model, names)
        if any(row.pk is None for row in rows):
            raise ValueError("bulk_update() got a row without a primary key; read it first")
        return TenantBulkUpdate(
            db=self._db,
            model=self.model,
            q_objects=self._q_objects,
            annotations=self._annotations,
            custom_filters=self._custom_filters,
            limit=self._limit,
            orderings=self._orderings,
            objects=rows,
            fields=names,
            batch_size=batch_size,
        )

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
        # Tortoise checks the combination of arguments.
        super().bulk_create([], batch_size, ignore_conflicts, updated or None, unique or None)
        return TenantBulkCreate(
            db=self._db,
            model=self.model,
            objects=rows,
            batch_size=batch_size,
            ignore_conflicts=ignore_conflicts,
            update_fields=updated or None,
            on_conflict=unique or None,
        )


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
        return TenantQuerySet(self._model).filter(tenant_id=current_tenant().id)  # type: ignore[return-value] # filter() returns a clone
