"""New migrations: written from the models of a plugin."""

import pytest
from addonkit.database.new_migration import make_migration
from addonkit.errors import PluginError
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import run_sql
from tortoise.context import get_current_context

from tests.support.plugin_package import RUNTIME_MIGRATIONS, table_names
from tests.support.tenants import tenant


async def test_migration_of_a_plugin_is_written_and_applied(package, tmp_path):
    written = await package.make_migration()
    assert written == package.path / "migrations" / "0001_initial.py"
    assert package.pending() == [*RUNTIME_MIGRATIONS, f"{package.name}.0001_initial"]
    assert await package.migrate() == [*RUNTIME_MIGRATIONS, f"{package.name}.0001_initial"]
    assert f"{package.name}_item" in table_names(tmp_path)
    assert await package.make_migration() is None


async def test_migration_of_a_changed_model_is_named_and_keeps_rows(package, tmp_path):
    await package.make_migration()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    package.write_models("    done = fields.BooleanField(default=False, db_default=False)")
    assert (await package.make_migration("Add done")).name == "0002_add_done.py"
    assert package.pending() == [f"{package.name}.0002_add_done"]
    await package.migrate()
    async with tenant_database(package.location, package.apps):
        with tenant_scope(tenant(1)):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", "done") == [("kept", False)]


async def test_migration_accepts_semicolons_and_quotes_in_a_docstring(package, tmp_path):
    package.write_models('    done = fields.BooleanField(default=False, description="it\'s done; or not")')
    models = package.path / "models.py"
    models.write_text(models.read_text().replace("(TenantModel):", '(TenantModel):\n    """A row; it\'s one."""'))
    await package.make_migration()
    assert len(await package.migrate()) == len(RUNTIME_MIGRATIONS) + 1


async def test_migration_of_a_plugin_without_models_is_refused():
    with pytest.raises(PluginError, match="'nothing' has no models"):
        await make_migration("nothing", {})
