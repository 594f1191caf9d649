"""Migrations are applied in one transaction and recorded with their release."""

from importlib.metadata import version

import pytest
from addonkit.database.migrate import fake_migrations, migrate
from addonkit.database.pending import pending
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import run_sql
from tortoise.context import get_current_context

from tests.support.plugin_package import RUNTIME_MIGRATIONS, only_migrations, table_names
from tests.support.tenants import tenant


async def test_migrate_applies_everything_to_a_new_database(location, tmp_path):
    assert pending(location, {}) == RUNTIME_MIGRATIONS
    steps = []
    assert await migrate(location, {}, steps.append) == steps
    assert only_migrations(steps) == RUNTIME_MIGRATIONS
    assert pending(location, {}) == []
    assert {"addonkit_tenant", "addonkit_used_token", "addonkit_job"} <= table_names(tmp_path)


async def test_migrate_does_nothing_the_second_time(location):
    await migrate(location, {})
    assert await migrate(location, {}) == []


async def test_migrate_keeps_rows_of_a_plugin_that_is_switched_off(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    assert await migrate(package.location, {}) == []
    assert pending(package.location, {}) == []
    assert await package.migrate() == []
    async with tenant_database(package.location, package.apps):
        with tenant_scope(tenant(1)):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", flat=True) == ["kept"]


@pytest.mark.parametrize("operation", ["migrate", "pending", "fake"])
async def test_migrate_refuses_a_newer_database_and_names_its_release(package, tmp_path, operation):
    await package.make_migration()
    await package.migrate()
    run_sql(
        tmp_path,
        "INSERT INTO tortoise_migrations (app, name, applied_at) "
        f"VALUES ('{package.name}', '0002_later', '2026-01-01 00:00:00+00')",
    )
    result = f"newer release: it has the migration '0002_later' of '{package.name}', which the installed release lacks"
    with pytest.raises(SettingsInvalid, match=result):
        await read_state_with(operation, package)
    run_sql(
        tmp_path,
        "INSERT INTO addonkit_applied_release (app_name, name, distribution, version, at) "
        f"VALUES ('{package.name}', '0002_later', 'addonkit-shop', '2.0.1', '2026-01-01 00:00:00+00')",
    )
    with pytest.raises(SettingsInvalid, match=r"from 'addonkit-shop 2\.0\.1', which .* install that release"):
        await read_state_with(operation, package)


async def read_state_with(operation, package):
    """Run one of the operations that read the state of a database."""
    if operation == "pending":
        package.pending()
    else:
        await {"migrate": migrate, "fake": fake_migrations}[operation](package.location, package.apps)


async def test_migration_is_recorded_with_its_release(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    rows = run_sql(
        tmp_path, "SELECT app_name, name, distribution, version FROM addonkit_applied_release ORDER BY name, app_name"
    )
    own = version("addonkit")
    first, *others = [("addonkit", step.removeprefix("addonkit."), "addonkit", own) for step in RUNTIME_MIGRATIONS]
    assert rows == [first, (package.name, "0001_initial", "addonkit-shop", "1.4.0"), *others]


BROKEN = """
from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [("{name}", "0001_initial")]
    operations = [ops.RunSQL("CREATE TABLE {name}_half (id INT)"), ops.RunSQL("CREATE TABLE nonsense (")]
"""


async def test_migration_that_fails_leaves_the_database_unchanged(package, tmp_path):
    await migrate(package.location, {})
    await package.make_migration()
    (package.path / "migrations" / "0002_broken.py").write_text(BROKEN.format(name=package.name))
    before = table_names(tmp_path)
    with pytest.raises(StorageUnavailable, match="all rolled back"):
        await package.migrate()
    assert table_names(tmp_path) == before
    (package.path / "migrations" / "0002_broken.py").unlink()
    assert await package.migrate() == [f"{package.name}.0001_initial"]


PART = """

class Part(TenantModel):
    id = fields.IntField(primary_key=True)
    item = fields.ForeignKeyField("{name}.Item", related_name="parts")

    class Meta:
        table = "{name}_part"
"""


async def test_migration_that_copies_a_table_keeps_referring_rows(package, tmp_path):
    models, part = package.path / "models.py", PART.format(name=package.name)
    package.write_models("    note = fields.CharField(9, default='')")
    models.write_text(models.read_text() + part)
    await package.make_migration()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (id, title, note, tenant_id) VALUES (1, 'a', '', 1)")
    run_sql(tmp_path, f"INSERT INTO {package.name}_part (item_id, tenant_id) VALUES (1, 1)")
    package.write_models()
    models.write_text(models.read_text() + part)
    await package.make_migration()
    assert len(await package.migrate()) == 1
    assert run_sql(tmp_path, f"SELECT item_id FROM {package.name}_part") == [(1,)]
    with pytest.raises(Exception, match="note"):
        run_sql(tmp_path, f"SELECT note FROM {package.name}_item")
