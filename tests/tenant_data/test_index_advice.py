"""The advice to index a column together with the tenant, compared with the indexes that SQLite uses."""

import importlib
import sqlite3
from contextlib import closing

import pytest
from addonkit.app import Deployment
from addonkit.app.migrate import installed_apps
from addonkit.app.plugin_migrations import index_warnings
from addonkit.settings import read_settings
from addonkit.tenant_data.index_advice import index_advice
from addonkit.tenant_data.model_checks import check_plugin_models, plugin_models
from addonkit.testing.databases import database_settings

from tests.support.plugin_package import PluginPackage

HEAD = """
from tortoise import fields
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations.constraints import UniqueConstraint
from addonkit import TenantModel
"""
MODELS = """
class Owner(TenantModel):
    id = fields.IntField(primary_key=True)
    class Meta:
        table = "{name}_owner"

class Keyed(TenantModel):
    id = fields.CharField(50, primary_key=True)
    class Meta:
        table = "{name}_keyed"

class Item(TenantModel):
    id = fields.IntField(primary_key=True)
    x = fields.CharField(50{x})
    y = fields.CharField(50)
    z = fields.CharField(50{z})
    {more}
    class Meta:
        table = "{name}_item"
        {meta}
"""
PAIR = 'Index(fields=("tenant_id", "x"))'
WITHOUT_TENANT = {
    "indexed field": ({"x": ", db_index=True"}, "x", f"replace 'db_index=True' by {PAIR} in 'indexes' of its Meta"),
    "index in Meta": ({"meta": 'indexes = (Index(fields=("x",)),)'}, "x", f"write {PAIR} in its place"),
    "names in Meta": ({"meta": 'indexes = (("x",),)'}, "x", f"write {PAIR} in its place"),
    "index of two columns": (
        {"meta": 'indexes = (Index(fields=("x", "y")),)'},
        "x",
        'write Index(fields=("tenant_id", "x", "y")) in its place',
    ),
    "tenant as the last column": (
        {"meta": 'indexes = [Index(fields=["x", "y", "tenant_id"])]'},
        "x",
        'write Index(fields=("tenant_id", "x", "y")) in its place',
    ),
    "unique together": ({"meta": 'unique_together = (("x", "y"),)'}, "x", f"add {PAIR} to 'indexes' of its Meta"),
    "unique constraint": (
        {"meta": 'constraints = [UniqueConstraint(fields=("x", "y"), name="one")]'},
        "x",
        f"add {PAIR} to 'indexes' of its Meta",
    ),
    "other column with the tenant": (
        {"x": ", db_index=True", "meta": 'indexes = (Index(fields=("tenant_id", "y")),)'},
        "x",
        f"replace 'db_index=True' by {PAIR} in 'indexes' of its Meta",
    ),
    "second column with the tenant": (
        {"x": ", db_index=True", "meta": 'indexes = (Index(fields=("tenant_id", "y", "x")),)'},
        "x",
        f"replace 'db_index=True' by {PAIR} in 'indexes' of its Meta",
    ),
    "relation": (
        {"more": 'owner = fields.ForeignKeyField("{name}.Owner", related_name="items")'},
        "owner_id",
        'add Index(fields=("tenant_id", "owner_id")) to \'indexes\' of its Meta',
    ),
    "indexed relation to a row with a text as its key": (
        {"more": 'owner = fields.ForeignKeyField("{name}.Keyed", related_name="items", db_index=True)'},
        "owner_id",
        'add Index(fields=("tenant_id", "owner_id")) to \'indexes\' of its Meta',
    ),
    "indexed number": (
        {"more": "number = fields.IntField(db_index=True)"},
        "number",
        "replace 'db_index=True' by Index(fields=(\"tenant_id\", \"number\")) in 'indexes' of its Meta",
    ),
    "relation that is unique together": (
        {
            "more": 'owner = fields.ForeignKeyField("{name}.Owner", related_name="items")',
            "meta": 'unique_together = (("owner", "x"),)',
        },
        "owner_id",
        'add Index(fields=("tenant_id", "owner_id")) to \'indexes\' of its Meta',
    ),
}
WITH_TENANT = {
    "no index": ({}, ""),
    "index with the tenant": ({"meta": 'indexes = (Index(fields=("tenant_id", "x")),)'}, "x"),
    "names with the tenant": ({"meta": 'indexes = (("tenant_id", "x"),)'}, "x"),
    "longer index with the tenant": ({"meta": 'indexes = (Index(fields=("tenant_id", "x", "y")),)'}, "x"),
    "tenant as the second column": ({"meta": 'indexes = (Index(fields=("x", "tenant_id", "y")),)'}, "x"),
    "both": ({"x": ", db_index=True", "meta": 'indexes = (Index(fields=("tenant_id", "x")),)'}, "x"),
    "unique field": ({"x": ", unique=True"}, "x"),
    "unique with the tenant": ({"meta": 'unique_together = (("tenant_id", "x"),)'}, "x"),
    "primary key": ({}, "id"),
    "relation with the tenant": (
        {
            "more": 'owner = fields.ForeignKeyField("{name}.Owner", related_name="items")',
            "meta": 'indexes = (Index(fields=("tenant_id", "owner_id")),)',
        },
        "owner_id",
    ),
    "indexed relation": (
        {"more": 'owner = fields.ForeignKeyField("{name}.Owner", related_name="items", db_index=True)'},
        "owner_id",
    ),
    "relation to one": ({"more": 'owner = fields.OneToOneField("{name}.Owner", related_name="item")'}, "owner_id"),
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return PluginPackage(tmp_path)


def write(package, parts):
    """Write the models of a package."""
    given = {"x": "", "z": "", "more": "", "meta": "", **parts}
    text = MODELS.format(
        name=package.name, **{key: value.replace("{name}", package.name) for key, value in given.items()}
    )
    (package.path / "models.py").write_text(HEAD + text)
    importlib.invalidate_caches()


def advice_for(package):
    models = package.modules.models
    check_plugin_models(package.name, models)
    return index_advice(package.name, plugin_models(package.name, models, {}).values())


async def plan(package, column, folder):
    """Return how SQLite finds the rows of a tenant with one value of a column."""
    assert await package.make_migration() is not None
    await package.migrate()
    query = f"SELECT * FROM {package.name}_item WHERE tenant_id = ? AND {column} = ?"
    with closing(sqlite3.connect(folder / "addonkit.db")) as connection:
        [(*_, detail)] = connection.execute(f"EXPLAIN QUERY PLAN {query}", (5, "a")).fetchall()
    return detail


@pytest.mark.sqlite
@pytest.mark.parametrize("kind", WITHOUT_TENANT)
async def test_column_for_which_sqlite_reads_all_rows_of_the_site_is_named(package, tmp_path, kind):
    parts, column, remedy = WITHOUT_TENANT[kind]
    write(package, parts)
    [advice] = advice_for(package)
    assert f": the column '{column}' of 'Item' in plugin '{package.name}' has no index together with" in advice
    assert advice.endswith(remedy)
    used = await plan(package, column, tmp_path)
    assert "(tenant_id=?)" in used or (kind == "indexed number" and "(number=?)" in used)


@pytest.mark.sqlite
@pytest.mark.parametrize("kind", WITH_TENANT)
async def test_column_that_sqlite_finds_by_an_index_is_not_named(package, tmp_path, kind):
    parts, column = WITH_TENANT[kind]
    write(package, parts)
    assert advice_for(package) == []
    if column:
        assert "(tenant_id=?)" not in await plan(package, column, tmp_path)


REMEDIES = {
    "indexed field": ({"x": ", db_index=True"}, {"meta": f"indexes = ({PAIR},)"}),
    "index in Meta": ({"meta": 'indexes = (Index(fields=("x", "y")),)'}, {"meta": f"indexes = ({PAIR},)"}),
    "unique together": (
        {"meta": 'unique_together = (("x", "y"),)'},
        {"meta": f'unique_together = (("x", "y"),); indexes = ({PAIR},)'},
    ),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("kind", REMEDIES)
async def test_remedy_lets_sqlite_find_the_rows_by_the_index(package, tmp_path, kind):
    before, after = REMEDIES[kind]
    write(package, before)
    assert "(tenant_id=?)" in await plan(package, "x", tmp_path)
    package.write_models()
    write(package, after)
    assert advice_for(package) == []
    assert "(tenant_id=? AND x=?)" in await plan(package, "x", tmp_path)


def test_partial_index_is_not_judged(package):
    write(package, {"meta": 'indexes = (PartialIndex(fields=("x",), condition={"y": "a"}),)'})
    assert advice_for(package) == []


PLACES = {
    "field": ({"x": ", db_index=True"}, "    x = "),
    "relation": ({"more": 'owner = fields.ForeignKeyField("{name}.Owner", related_name="items")'}, "    owner = "),
    "annotated field": ({"more": "w: str = fields.CharField(5, db_index=True)"}, "    w: "),
    "Meta": ({"meta": 'indexes = (("x",),)'}, "        indexes"),
    "unique together": ({"meta": 'unique_together = (("x", "y"),)'}, "        unique_together"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_advice_names_file_and_line(package, kind):
    parts, start = PLACES[kind]
    write(package, parts)
    [advice] = advice_for(package)
    file, line, _ = advice.split(":", 2)
    assert file == f"{package.path.name}/models.py"
    assert (package.path / "models.py").read_text().splitlines()[int(line) - 1].startswith(start)


def test_advice_for_an_inherited_field_names_the_class_that_declares_it(package):
    base = (
        "class Base(TenantModel):\n    k = fields.IntField(db_index=True)\n    class Meta:\n        abstract = True\n"
    )
    write(package, {})
    text = (package.path / "models.py").read_text()
    (package.path / "models.py").write_text(text.replace("class Item(TenantModel)", f"{base}\nclass Item(Base)"))
    [advice] = advice_for(package)
    line = int(advice.split(":")[1])
    assert (package.path / "models.py").read_text().splitlines()[line - 1] == "    k = fields.IntField(db_index=True)"


def test_shipped_plugins_index_every_column_with_the_tenant(tmp_path):
    addon = {"key": "com.example.x", "name": "X", "base_url": "http://localhost:8000"}
    plugins = ["issue_panel", "macro", "licensing"]
    settings = read_settings(
        None, {"addon": {**addon, "plugins": plugins}, "database": database_settings(tmp_path, create=False)}
    )
    deployment = Deployment(settings, tmp_path)
    assert index_warnings(deployment) == []
    assert {"issue_panel", "macro"} <= set(installed_apps(deployment))
