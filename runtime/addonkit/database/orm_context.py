"""Isolates Tortoise's state per database, which lets one process open several databases with the same models.

Tortoise has one context for each database, but keeps three things for the whole process. They are handled here:

- The cache of prepared statements is keyed by connection name and table. Every database has a connection name of its
  own, and models reach it by the alias ``default``.
- Model classes hold values that depend on the database's dialect, such as their filters. Once a model was opened, its
  metadata keeps these values by dialect and returns those for the current database.
- The process-wide fallback for tasks without a context is not used. ``Runtime.scope`` makes a context current.
"""

from __future__ import annotations

from copy import copy
from itertools import count
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.connection import ConnectionHandler, ConnectionToken
from tortoise.context import TortoiseContext, _current_context, get_current_context
from tortoise.exceptions import ConfigurationError
from tortoise.fields.relational import RelationalField
from tortoise.filters import FilterInfoDict
from tortoise.models import MetaInfo, Model

from addonkit.database import CONNECTION
from addonkit.database.lookups import safe_lookup
from addonkit.database.stored_dates import read_dates_fast

ORM_VARIABLE = _current_context
"""The context variable in which Tortoise looks for its current context."""
BY_DIALECT = (
    "basequery",
    "basequery_all_fields",
    "filters",
    "db_native_fields",
    "db_default_fields",
    "db_complex_fields",
)

_numbers = count(1)


class Connections(ConnectionHandler):
    """Returns the one connection of a database, by its own name and by the alias ``default``.

    Args:
        name: Its own name.

    Attributes:
        is_closed: Whether the database was closed. A query is then refused; Tortoise would open the database again.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.is_closed = False

    def get(self, conn_alias: str) -> BaseDBAsyncClient:
        """Return the connection, or the transaction that this task is in.

        Raises:
            ConfigurationError: The database was closed.
        """
        if self.is_closed:
            raise ConfigurationError("the database of this task was closed")
        return super().get(self._name if conn_alias == CONNECTION else conn_alias)

    def set(self, conn_alias: str, conn_obj: BaseDBAsyncClient) -> ConnectionToken:
        """Replace the connection with a transaction, for this task."""
        return super().set(self._name if conn_alias == CONNECTION else conn_alias, conn_obj)


class DatabaseContext(TortoiseContext):
    """Tortoise's context of one database.

    Args:
        dialect: ``sqlite`` or ``postgres``.

    Attributes:
        connection_name: Its connection's name, which no other database of this process has.
    """

    def __init__(self, dialect: str) -> None:
        super().__init__()
        self.dialect = dialect
        self.connection_name = f"{dialect}-{next(_numbers)}"
        self._handler = Connections(self.connection_name)

    @property
    def connections(self) -> ConnectionHandler:
        """The connection, by name."""
        return self._handler

    async def close_connections(self) -> None:
        """Close the connection permanently, and drop the statements that were prepared for it."""
        if self._handler.is_closed:
            return
        await self._handler.close_all(discard=True)
        self._handler.is_closed = True
        for key in [key for key in EXECUTOR_CACHE if key[0] == self.connection_name]:
            del EXECUTOR_CACHE[key]

    def share_models(self) -> None:
        """Make the models usable by other databases as well; call it when this one has loaded them."""
        for models in self.apps.values() if self.apps else ():
            for model in models.values():
                _share(model, self.dialect)
                if self.dialect == "sqlite":
                    read_dates_fast(model)


def _share(model: type[Model], dialect: str) -> None:
    meta = model._meta  # noqa: SLF001 - as Tortoise's users reach a model's fields
    if type(meta) is not MetaInfo:
        return
    for name in BY_DIALECT:
        slot = MetaInfo.__dict__[name]
        slot.__set__(meta, {dialect: slot.__get__(meta)})
    meta.__class__ = SharedMeta


def _current_dialect() -> str:
    return getattr(get_current_context(), "dialect", "")


def _by_dialect(name: str) -> property:
    """Create a property that stores one attribute of a model's metadata separately for each dialect."""
    slot = MetaInfo.__dict__[name]

    def read(meta: MetaInfo) -> Any:
        values, dialect = slot.__get__(meta), _current_dialect()
        if dialect in values:
            return values[dialect]
        other = next(iter(values.values()))
        if not isinstance(other, dict | list):
            raise ConfigurationError("no database of an add-on is current in this task; query within 'addon.scope()'")
        # Tortoise fills it for this dialect while it loads the model
        values[dialect] = copy(other)
        return values[dialect]

    def write(meta: MetaInfo, value: Any) -> None:
        slot.__get__(meta)[_current_dialect()] = value

    return property(read, write)


class SharedMeta(MetaInfo):
    """The metadata of a model that may be open in databases of two dialects."""

    __slots__ = ()

    basequery = _by_dialect("basequery")
    basequery_all_fields = _by_dialect("basequery_all_fields")
    filters = _by_dialect("filters")
    db_native_fields = _by_dialect("db_native_fields")
    db_default_fields = _by_dialect("db_default_fields")
    db_complex_fields = _by_dialect("db_complex_fields")

    def get_filter(self, key: str) -> FilterInfoDict:
        """Give a filter by its key, such as ``title__in``; a plugin's takes values that no row can hold."""
        info = super().get_filter(key)
        if not getattr(self._model, "has_safe_lookups", False):
            return info
        # A filter with a table compares the primary key of the related model.
        name = key.partition("__")[0] if "table" in info else info["field"]
        field = self.fields_map.get(name)
        if isinstance(field, RelationalField):
            field = field.related_model._meta.pk  # noqa: SLF001 - as above
        return safe_lookup(info, field, _current_dialect())
