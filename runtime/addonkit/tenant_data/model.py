"""The base class of plugin models: rows that belong to one tenant.

It protects against mistakes: a query without a tenant scope fails, and no method of the ORM reads or writes another
tenant's row. It does not protect against malicious plugins. On SQLite, raw SQL (``raw()``, a connection's
``execute_query``) is not restricted; on PostgreSQL, row-level security restricts it to the current tenant. A query
keeps the tenant of the scope in which it was created, and is refused in another tenant's scope.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, overload

from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import ValidationError
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.signals import Signals

from addonkit.current import check_writable
from addonkit.database.lookups import check_storable
from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.manager import TenantManager
from addonkit.tenant_data.queries import TENANT_COLUMN, check_targets, relation_column, relations
from addonkit.tenant_data.rows import ROW, SortedBy, TenantRows
from addonkit.tenant_data.scope import current_tenant, tenant_scope

__all__ = ["TenantModel", "current_tenant", "tenant_scope"]


class TenantModel(Model):
    """A model whose rows belong to one tenant each, by the column ``tenant_id``.

    A model's own ``class Meta`` names its table and does not derive from this one's. Relations lead to tenant-bound
    models of the same plugin. Instead of a many-to-many relation, write a model for the table in between.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    tenant_id = fields.IntField(db_index=True)

    # Lookups by values that no row can hold find nothing, see database.lookups.
    has_safe_lookups = True

    # Tenant, primary key and values of the relations, as read or inserted. None if the row was never read.
    _origin: tuple[int, Any, tuple[Any, ...]] | None = None
    # Whether save() inserts the row.
    _inserting = False

    class Meta:
        """The class has no table of its own."""

        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Set the manager of the new class, since models do not inherit managers in Tortoise."""
        super().__init_subclass__(**kwargs)
        meta = cls.__dict__.get("Meta")
        if meta is not None and getattr(meta, "abstract", False) and "abstract" not in vars(meta):
            raise TypeError(
                f"the Meta of '{cls.__name__}' inherits 'abstract', so that it would have no table; "
                "write 'class Meta:' without a parent"
            )
        if type(cls._meta.manager) is Manager:
            cls._meta.manager = TenantManager(cls)

    @overload
    @classmethod
    def rows(
        cls, shape: type[ROW], /, *, order: SortedBy = (), limit: int | None = None, **equal: Any
    ) -> TenantRows[ROW]: ...

    @overload
    @classmethod
    def rows(cls, /, *fields: str, order: SortedBy = (), limit: int | None = None, **equal: Any) -> TenantRows[Any]: ...

    @classmethod
    def rows(cls, /, *fields: Any, order: SortedBy = (), limit: int | None = None, **equal: Any) -> TenantRows[Any]:
        """Read rows that are only shown, as named tuples: faster than objects of the model, and without ``save()``.

        Args:
            fields: Names of the fields to read, all by default; or one class made by ``typing.NamedTuple`` with these
                names, of which the rows are then instances.
            order: Names of fields to sort by; ``-`` before a name sorts in descending order.
            limit: Maximum number of rows.
            equal: The value that a field must have, by the field's name; None: NULL.

        Returns:
            A query; await it in the tenant scope in which it was created.

        Raises:
            TenantMissing: The task is in no tenant scope.
            FieldError: A name is not a field with a column, or is given twice.
            ParamsError: The limit is negative, or ``order`` or ``limit`` is also a field of the model.
            TypeError: A value is a list or an expression.
        """
        return TenantRows(cls, fields, equal, order, limit)

    def _set_kwargs(self, kwargs: dict[str, Any]) -> set[str]:
        try:
            return super()._set_kwargs(kwargs)
        except ArithmeticError as exc:
            check_storable(self._meta.fields_map, kwargs.items(), self._meta.db.capabilities.dialect)
            raise ValidationError(f"a value of '{type(self).__name__}' is out of the range of its column") from exc

    @classmethod
    def _init_from_db(cls, **kwargs: Any) -> Self:
        tenant = current_tenant()
        owner = kwargs.get(TENANT_COLUMN)
        if owner is not None and owner != tenant.id:
            raise CrossTenantWrite(f"a '{cls.__name__}' of tenant {owner} was read in the scope of tenant {tenant.id}")
        row = super()._init_from_db(**kwargs)
        if owner is not None:
            row._record_origin()  # noqa: SLF001 - of its own class
        return row

    def _record_origin(self, names: list[str] | None = None) -> None:
        """Record tenant, primary key and relations; with ``names``, other relations keep their recorded value."""
        columns = [relation_column(field) for field in relations(type(self))]
        known = self._origin[2] if self._origin else (None,) * len(columns)
        linked = tuple(
            getattr(self, column, None) if names is None or column in names else before
            for column, before in zip(columns, known, strict=True)
        )
        object.__setattr__(self, "_origin", (self.tenant_id, self.pk, linked))

    def assign_tenant(self) -> None:
        """Set the tenant of a new row to the current tenant.

        Raises:
            CrossTenantWrite: The row already has another tenant.
        """
        tenant = current_tenant()
        owner = getattr(self, TENANT_COLUMN, None)
        if owner is None:
            self.tenant_id = tenant.id
        elif type(owner) is not int or owner != tenant.id:
            raise CrossTenantWrite(
                f"a '{type(self).__name__}' of another tenant cannot be created in the scope of tenant {tenant.id}; "
                f"do not set '{TENANT_COLUMN}'"
            )

    def check_tenant(self, action: str) -> None:
        """Check that the row was read or created in this tenant scope and still has its tenant and primary key.

        Args:
            action: The operation that is about to run, for the message.

        Raises:
            CrossTenantWrite: The row is not known to be one of the current tenant.
        """
        tenant = current_tenant()
        name = type(self).__name__
        if self._origin is None:
            raise CrossTenantWrite(f"{action} of a '{name}' that was never read in this scope; get() it first")
        owner, key, _ = self._origin
        if owner != tenant.id:
            raise CrossTenantWrite(f"{action} of a '{name}' of tenant {owner} in the scope of tenant {tenant.id}")
        present = getattr(self, TENANT_COLUMN, None)
        if type(present) is not int or present != owner or self.pk != key:
            raise CrossTenantWrite(
                f"{action} of a '{name}' whose tenant or primary key was changed; both must stay as read"
            )

    def check_values(self, names: Iterable[str] | None = None) -> None:
        """Check that both databases can store the row's values; of all columns, or of those that are named.

        Raises:
            ValidationError: A text has NUL or half of a surrogate pair, or an integer is out of range.
        """
        present = ((name, getattr(self, name, None)) for name in names or self._meta.fields_db_projection)
        check_storable(self._meta.fields_map, present, self._meta.db.capabilities.dialect)

    async def _check_relations(self, db: BaseDBAsyncClient, *, known: tuple[Any, ...], names: set[str] | None) -> None:
        for place, field in enumerate(relations(type(self))):
            column = relation_column(field)
            value = getattr(self, column, None)
            unchanged = place < len(known) and known[place] == value
            if not unchanged and (names is None or column in names):
                await check_targets(field, [value], db)

    async def save(
        self,
        using_db: BaseDBAsyncClient | None = None,
        update_fields: Iterable[str] | None = None,
        force_create: bool = False,
        force_update: bool = False,
    ) -> None:
        """Insert or update the row; a new row gets the current tenant.

        Raises:
            CrossTenantWrite: The row is another tenant's, was never read, or refers to another tenant's row.
        """
        check_writable()
        # A list, so that what a handler of pre_save adds to it is checked.
        names = None if update_fields is None else list(update_fields)
        stored = bool(self._saved_in_db or names)
        self._inserting = force_create or (not force_update and (self.pk is None or not stored))
        self._check_save()
        # Decided here: a handler of pre_save that sets the primary key cannot turn an insert into another row's update.
        await super().save(using_db, names, force_create=self._inserting, force_update=force_update)

    def _check_save(self) -> None:
        if self._inserting:
            self.assign_tenant()
        else:
            self.check_tenant("update")

    async def _wait_for_listeners(self, signal: Signals, *listener_args: Any) -> None:
        """Call the handlers of a signal one after another in this task, so that they may begin nested transactions."""
        for listener in self._listeners.get(signal, {}).get(type(self), []):
            await listener(type(self), self, *listener_args)

    async def _pre_save(
        self, using_db: BaseDBAsyncClient | None = None, update_fields: Iterable[str] | None = None
    ) -> None:
        """Call the handlers of ``pre_save``, then check the row as they leave it."""
        await super()._pre_save(using_db, update_fields)
        db = using_db or self._choose_db(True)
        known = self._origin[2] if self._origin and not self._inserting else ()
        names = None if update_fields is None or self._inserting else set(update_fields)
        await self._check_relations(db, known=known, names=names)
        self.check_values(names)
        # Last, because nothing is awaited between this and the statement.
        self._check_save()

    async def _post_save(
        self,
        using_db: BaseDBAsyncClient | None = None,
        created: bool = False,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Record the row as it was written, then call the handlers of ``post_save``."""
        self._record_origin(None if created or update_fields is None else list(update_fields))
        await super()._post_save(using_db, created, update_fields)

    async def _pre_delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Call the handlers of ``pre_delete``, then check the row as they leave it."""
        await super()._pre_delete(using_db)
        self.check_tenant("delete")

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete the row.

        Raises:
            CrossTenantWrite: The row is not known to be one of the current tenant.
        """
        check_writable()
        self.check_tenant("delete")
        await super().delete(using_db)

    async def refresh_from_db(
        self, fields: Iterable[str] | None = None, using_db: BaseDBAsyncClient | None = None
    ) -> None:
        """Read the row again from the current tenant's rows.

        Raises:
            CrossTenantWrite: The row was read in another tenant scope, or its tenant or primary key was changed.
        """
        self.check_tenant("refresh")
        names = list(fields) if fields else None
        rows = type(self).all(using_db or self._choose_db())
        fresh = await (rows.only(*names) if names else rows).get(pk=self.pk)
        for name in names or self._meta.fields_db_projection:
            setattr(self, name, getattr(fresh, name, None))
        self._record_origin(names)
