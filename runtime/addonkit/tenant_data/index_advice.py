# ruff: noqa: SLF001 - a model's fields are in _meta, as Tortoise documents
"""Finds indexes of plugin models without ``tenant_id``, although every query also compares the tenant.

``tenant_id`` has an index of its own. If another index serves one column only, SQLite uses one of both: that of the
tenant, and reads all rows of the site, or the other one, and reads rows of all sites. An index of ``tenant_id`` and the
column serves the query on both databases. Relations count as indexed: they are followed backwards by their column.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tortoise.fields.data import IntField
from tortoise.fields.relational import ForeignKeyFieldInstance, OneToOneFieldInstance, RelationalField
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model

from addonkit.tenant_data.queries import TENANT_COLUMN

Columns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Declared:
    """An index as a model declares it.

    Attributes:
        columns: Its columns in their order.
        attribute: The field, or the attribute of ``Meta``, that declares it.
        in_meta: Whether it is an attribute of ``Meta``.
        is_unique: Whether it is unique, or as selective as a unique one.
        is_indexed: Whether there is an index; a relation may have none.
    """

    columns: Columns
    attribute: str
    in_meta: bool = False
    is_unique: bool = False
    is_indexed: bool = True


def index_advice(plugin: str, models: Iterable[type[Model]]) -> list[str]:
    """Recommend an index that begins with the tenant for each column that has only another one.

    Args:
        plugin: Name of the plugin.
        models: Its models.

    Returns:
        One sentence for each column, with the place in the plugin's code.
    """
    return [advice for model in models for advice in _advice_for(plugin, model)]


def _advice_for(plugin: str, model: type[Model]) -> Iterator[str]:
    declared = list(_declared(model))
    served = {one.columns[1] for one in declared if one.columns[0] == TENANT_COLUMN and len(one.columns) > 1}
    served |= {one.columns[0] for one in declared if one.columns[1:2] == (TENANT_COLUMN,)}
    served |= {one.columns[0] for one in declared if one.is_unique and len(one.columns) == 1}
    for one in declared:
        if one.columns[0] in served or one.columns[0] == TENANT_COLUMN:
            continue
        served.add(one.columns[0])
        yield (
            f"{_place(model, one)}: the column '{one.columns[0]}' of '{model.__name__}' in plugin '{plugin}' has no "
            f"index together with 'tenant_id', so SQLite reads all rows of a site, or rows of all sites, to find some; "
            f"{_remedy(one)}"
        )


def _remedy(one: _Declared) -> str:
    columns = one.columns[:1] if one.is_unique else one.columns
    names = ", ".join(f'"{name}"' for name in (TENANT_COLUMN, *(name for name in columns if name != TENANT_COLUMN)))
    index = f"Index(fields=({names}))"
    if one.in_meta:
        return f"add {index} to 'indexes' of its Meta" if one.is_unique else f"write {index} in its place"
    if one.is_indexed:
        return f"replace 'db_index=True' by {index} in 'indexes' of its Meta"
    return f"add {index} to 'indexes' of its Meta"


def _declared(model: type[Model]) -> Iterator[_Declared]:
    meta = model._meta
    columns = {
        name: str(field.source_field or f"{name}_id")
        for name, field in meta.fields_map.items()
        if isinstance(field, ForeignKeyFieldInstance)
    }

    def of(names: Iterable[str]) -> Columns:
        return tuple(columns.get(name, name) for name in names)

    for name, field in meta.fields_map.items():
        if field.pk or name in columns.values() or (isinstance(field, RelationalField) and name not in columns):
            continue
        if field.unique or isinstance(field, OneToOneFieldInstance):
            yield _Declared(of([name]), name, is_unique=True)
        elif name in columns:
            # SQLite uses an index of row ids: it is as small as the tenant's, and was created after it.
            is_used = field.index and isinstance(meta.fields_map.get(columns[name]), IntField)
            yield _Declared(of([name]), name, is_unique=is_used, is_indexed=False)
        elif field.index:
            yield _Declared(of([name]), name)
    for names in meta.unique_together:
        yield _Declared(of(names), "unique_together", in_meta=True, is_unique=True)
    for constraint in meta.constraints:
        if isinstance(constraint, UniqueConstraint) and not getattr(constraint, "condition", None):
            yield _Declared(of(constraint.fields), "constraints", in_meta=True, is_unique=True)
    for index in meta.indexes:
        if not isinstance(index, Index):
            yield _Declared(of(index), "indexes", in_meta=True)
        elif index.fields and not index.INDEX_TYPE and not index.extra:
            yield _Declared(of(index.fields), "indexes", in_meta=True)


def _place(model: type[Model], one: _Declared) -> str:
    """Return the file and line of a declaration, from the folder of the plugin's package."""
    for owner in inspect.getmro(model):
        file, line = _found_in(owner, one)
        if line:
            return f"{file}:{line}"
    return model.__module__


def _found_in(owner: type, one: _Declared) -> tuple[str, int]:
    try:
        source = Path(inspect.getsourcefile(owner) or "")
        tree = ast.parse(source.read_bytes())
    except (OSError, TypeError, SyntaxError, ValueError):
        return "", 0
    file = "/".join([*owner.__module__.split(".")[:-1], source.name])
    if source.name == "__init__.py":
        file = f"{owner.__module__.replace('.', '/')}/{source.name}"
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner.__name__]
    for body in bodies:
        nested = [node for node in body.body if isinstance(node, ast.ClassDef) and node.name == "Meta"]
        for node in nested[0].body if one.in_meta and nested else [] if one.in_meta else body.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == one.attribute for target in targets):
                return file, node.lineno
    return "", 0
