"""The triggers that refuse rows of purged tenants, in databases that migrate."""

from addonkit.testing.databases import on_postgresql, run_sql


def guarded_tables(folder):
    if on_postgresql():
        query = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'addonkit_purge_guard' ORDER BY 1"
    else:
        query = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'addonkit_purge_guard_%'"
    return [table for (table,) in run_sql(folder, query)]


def drop_guard(folder, table):
    on = f" ON {table}" if on_postgresql() else ""
    name = "addonkit_purge_guard" if on_postgresql() else f"addonkit_purge_guard_{table}"
    run_sql(folder, f"DROP TRIGGER {name}{on}")


async def test_guard_is_on_each_tenant_bound_table_of_plugins(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    assert guarded_tables(tmp_path) == [f"{package.name}_item"]


async def test_guard_is_added_to_a_table_of_an_earlier_release(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    table = f"{package.name}_item"
    drop_guard(tmp_path, table)
    run_sql(tmp_path, f"INSERT INTO {table} (title, tenant_id) VALUES ('kept', 1)")
    package.write_models("    size = fields.IntField(null=True)")
    await package.make_migration()
    await package.migrate()
    assert guarded_tables(tmp_path) == [table]
    assert run_sql(tmp_path, f"SELECT title FROM {table}") == [("kept",)]


async def test_guard_stays_when_its_table_is_copied(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    package.write_models()
    models = package.path / "models.py"
    models.write_text(models.read_text().replace("CharField(50)", "CharField(80)"))
    await package.make_migration()
    await package.migrate()
    assert guarded_tables(tmp_path) == [f"{package.name}_item"]


async def test_guard_does_not_hinder_a_copy_of_the_table_of_tenants(package, tmp_path):
    """SQLite cannot rename a table that a trigger reads."""
    await package.make_migration()
    await package.migrate()
    step = package.path / "migrations" / "0002_copy.py"
    copy = (
        "CREATE TABLE addonkit_copy AS SELECT * FROM addonkit_tenant_history",
        "ALTER TABLE addonkit_tenant_history RENAME TO addonkit_old",
        "ALTER TABLE addonkit_copy RENAME TO addonkit_tenant_history",
        "DROP TABLE addonkit_old",
    )
    step.write_text(
        "from tortoise import migrations\nfrom tortoise.migrations import operations as ops\n\n"
        "class Migration(migrations.Migration):\n"
        f"    dependencies = [('{package.name}', '0001_initial')]\n"
        f"    operations = [ops.RunSQL({list(copy)!r})]\n"
    )
    assert f"{package.name}.0002_copy" in await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('new', 1)")
