"""Migrations that replace or drop a field, a class or a table which the previous release has."""

import pytest
from addonkit.database.new_migration import make_migration, released_faults
from addonkit.errors import PluginError
from addonkit.testing.databases import run_sql

from tests.database.test_migration_faults import (
    TITLE,
    change,
    force,
    forget,
    migrate_while_writing,
    release,
    store_old,
)


async def test_class_that_is_renamed_is_refused_until_the_step_is_written_by_hand(package, tmp_path):
    await release(package)
    change(package)
    models = package.path / "models.py"
    models.write_text(models.read_text().replace("class Item", "class Thing"))
    with pytest.raises(PluginError, match=r"'Item' became 'Thing'.*ops\.RenameModel\('Item', 'Thing'\)"):
        await package.make_migration("change")
    step = await force(package)
    text = step.read_text()
    operations = text[text.index("operations = [") :]
    step.write_text(text.replace(operations, "operations = [ops.RenameModel('Item', 'Thing')]\n"))
    forget(package)
    written = await migrate_while_writing(package)
    assert run_sql(tmp_path, f"SELECT count(*) FROM {package.name}_item") == [(written,)]
    assert await package.make_migration() is None
    assert await released_faults(package.name, package.apps) == []


TAKEN = {
    "number for a relation": (
        '    parent = fields.ForeignKeyField("NAME.Item", null=True)',
        "    parent_id = fields.IntField(null=True)",
    ),
    "relation for a number": (
        "    parent_id = fields.IntField(null=True)",
        '    parent = fields.ForeignKeyField("NAME.Item", null=True)',
    ),
    "other relation": (
        '    parent = fields.ForeignKeyField("NAME.Item", null=True)',
        '    above = fields.ForeignKeyField("NAME.Item", null=True)',
    ),
    "other relation of the column": (
        '    parent = fields.ForeignKeyField("NAME.Item", null=True)',
        '    above = fields.ForeignKeyField("NAME.Item", null=True, source_field="parent_id")',
    ),
    "own relation": (
        '    parent = fields.OneToOneField("NAME.Item", null=True)',
        '    above = fields.OneToOneField("NAME.Item", null=True)',
    ),
}


@pytest.mark.parametrize("kind", TAKEN)
async def test_name_that_another_field_still_has_is_refused_in_one_sentence(package, kind):
    before, after = TAKEN[kind]
    await release(package, more=before)
    change(package, more=after)
    with pytest.raises(PluginError, match=r"takes a name that another still has.*name, column and related_name"):
        await package.make_migration("change")


DROPPED = {
    "column": ("", "", "title", "give the field 'null=True'"),
    "column for another": ("", "    size = fields.IntField(default=0)", "title", "give the field 'null=True'"),
    "nullable column": ("    size = fields.IntField(null=True)", None, "size", "release without the field first"),
    "column with a default": (
        "    size = fields.IntField(db_default=1)",
        None,
        "size",
        "release without the field first",
    ),
    "relation": (
        '    parent = fields.ForeignKeyField("NAME.Item", null=True)',
        None,
        "parent_id",
        "release without the field first",
    ),
}


@pytest.mark.parametrize("kind", DROPPED)
async def test_dropped_column_is_written_with_a_warning(package, kind):
    before, after, column, way = DROPPED[kind]
    await release(package, more=before)
    change(package, more=after or "", **({} if after is None else {"title": ""}))
    warnings = []
    assert await make_migration(package.name, package.apps, "drop", on_warning=warnings.append) is not None
    [warning] = warnings
    for part in (
        f"plugin '{package.name}' drops the column '{package.name}_item.{column}'",
        way,
        "the release after that",
    ):
        assert part in warning
    assert await released_faults(package.name, package.apps) == []


async def test_dropped_column_works_as_its_warning_says(package, tmp_path):
    """The first release makes the column nullable and loses the field; the second one drops the column."""
    await release(package)
    change(package, title=TITLE.replace("50", "50, null=True"))
    await package.make_migration("nullable")
    change(package, title="")
    await migrate_while_writing(package)
    insert = "INSERT INTO {name}_item (tenant_id) VALUES (1)"
    store_old(package, insert)
    warnings = []
    await make_migration(package.name, package.apps, "drop", on_warning=warnings.append)
    assert len(warnings) == 1
    await package.migrate()
    store_old(package, insert)


async def test_dropped_table_is_written_with_a_warning(package):
    models = package.path / "models.py"
    more = models.read_text().split("class Item")[1].replace(f"{package.name}_item", f"{package.name}_other")
    models.write_text(models.read_text() + f"\nclass Other{more}")
    await package.make_migration()
    package.write_models()
    warnings = []
    await make_migration(package.name, package.apps, "drop", on_warning=warnings.append)
    [warning] = warnings
    assert f"drops the table '{package.name}_other'" in warning
    assert "release without the class first" in warning
