"""Rows that belong to one site, and the wall between sites.

The wall is against forgetting: a query without a tenant fails and does not leak, and no door of the ORM reads or
writes another site's row. It is not against malice. Raw SQL (``raw()``, a connection's ``execute_query``) is outside
the promise on SQLite; on PostgreSQL ``policies`` keep it to the site in scope. A query keeps the tenant of the scope
that it was begun in, and gives nothing in another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.manager import Manager
from tortoise.models import Model

from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.manager import TENANT_COLUMN, TenantManager, check_targets, relation_column, relations
from addonkit.tenant_data.scope import current_tenant, tenant_scope

__all__ = ["TenantModel", "current_tenant", "tenant_scope"]


class TenantModel(Model):
    """A model whose rows belong to one site each; gives them ``tenant_id``.

    A model's own ``class Meta`` names its table and does not derive from this one's. Relations lead to tenant-bound
    models of the same plugin; instead of many-to-many, write a model for what lies between.
    """

    tenant_id = fields.IntField(db_index=True)

    # What was read or inserted: tenant, primary key, values of the relations. None: nothing is known to be ours.
    _origin: tuple[int, Any, tuple[Any, ...]] | None = None

    class Meta:
        """It has no table of its own."""

        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Bind the manager where the class is made, since Tortoise lets no model inherit one."""
        super().__init_subclass__(**kwargs)
        meta = cls.__dict__.get("Meta")
        if meta is not None and getattr(meta, "abstract", False) and "abstract" not in vars(meta):
            raise TypeError(
                f"the Meta of '{cls.__name__}' inherits 'abstract', so that it would have no table; "
                "write 'class Meta:' without a parent"
            )
        if type(cls._meta.manager) is Manager:
            cls._meta.manager = TenantManager(cls)

    @classmethod
    def _init_from_db(cls, **kwargs: Any) -> Self:
        tenant = current_tenant()
        owner = kwargs.get(TENANT_COLUMN)
        if owner is not None and owner != tenant.id:
            raise CrossTenantWrite(f"a '{cls.__name__}' of tenant {owner} was read in the scope of tenant {tenant.id}")
        row = super()._init_from_db(**kwargs)
        if owner is not None:
            row._remember()  # noqa: SLF001 - its own, on a row just made
        return row

    def _remember(self, names: list[str] | None = None) -> None:
        """Take what was just read or written as known; a relation that was not among the names stays as it was."""
        columns = [relation_column(field) for field in relations(type(self))]
        known = self._origin[2] if self._origin else (None,) * len(columns)
        linked = tuple(
            getattr(self, column, None) if names is None or column in names else before
            for column, before in zip(columns, known, strict=True)
        )
        object.__setattr__(self, "_origin", (self.tenant_id, self.pk, linked))

    def take_tenant(self) -> None:
        """Give a new row the tenant in scope.

        Raises:
            TenantForeign: It has another one already.
        """
        tenant = current_tenant()
        owner = getattr(self, TENANT_COLUMN, None)
        if owner is None:
            self.tenant_id = tenant.id
        elif type(owner) is not int or owner != tenant.id:
            raise CrossTenantWrite(
                f"a '{type(self).__name__}' of another tenant is to be created in the scope of tenant {tenant.id}; "
                f"leave '{TENANT_COLUMN}' out"
            )

    def check_own(self, deed: str) -> None:
        """Refuse to touch a row that was not read or created in this scope, or that was given another identity.

        Args:
            deed: What is to be done, for the message.

        Raises:
            TenantForeign: It is not known to be a row of the tenant in scope.
        """
        tenant = current_tenant()
        name = type(self).__name__
        if self._origin is None:
            raise CrossTenantWrite(f"{deed} of a '{name}' that was never read in this scope; get() it first")
        owner, key, _ = self._origin
        if owner != tenant.id:
            raise CrossTenantWrite(f"{deed} of a '{name}' of tenant {owner} in the scope of tenant {tenant.id}")
        present = getattr(self, TENANT_COLUMN, None)
        if type(present) is not int or present != owner or self.pk != key:
            raise CrossTenantWrite(f"{deed} of a '{name}' whose tenant or primary key was changed; leave both as read")

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
        """Write the row, a new one with the tenant in scope.

        Raises:
            TenantForeign: It is not the row of this tenant, was never read, or leads to another's row.
        """
        names = None if update_fields is None else list(update_fields)
        stored = bool(self._saved_in_db or names)
        db = using_db or self._choose_db(True)
        inserting = force_create or (not force_update and (self.pk is None or not stored))
        if inserting:
            self.take_tenant()
            await self._check_relations(db, known=(), names=None)
        else:
            self.check_own("update")
            known = self._origin[2] if self._origin else ()
            await self._check_relations(db, known=known, names=None if names is None else set(names))
        await super().save(db, names, force_create, force_update)
        self._remember(None if inserting else names)

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete the row.

        Raises:
            TenantForeign: It is not known to be this tenant's.
        """
        self.check_own("delete")
        await super().delete(using_db)

    async def refresh_from_db(
        self, fields: Iterable[str] | None = None, using_db: BaseDBAsyncClient | None = None
    ) -> None:
        """Read the row again; one that this tenant does not have does not exist.

        Raises:
            TenantForeign: It was read in another tenant's scope, or its identity was changed.
        """
        self.check_own("refresh")
        names = list(fields) if fields else None
        rows = type(self).all(using_db or self._choose_db())
        fresh = await (rows.only(*names) if names else rows).get(pk=self.pk)
        for name in names or self._meta.fields_db_projection:
            setattr(self, name, getattr(fresh, name, None))
        self._remember(names)
