"""Fake migrations: recorded as applied without running."""

import pytest
from addonkit.database.migrate import fake_migrations, migrate
from addonkit.errors import SettingsInvalid
from addonkit.testing.databases import run_sql

from tests.support.plugin_package import table_names


async def test_fake_migration_is_recorded_without_running(package, tmp_path):
    await migrate(package.location, {})
    await package.make_migration()
    assert await fake_migrations(package.location, package.apps, [f"{package.name}.0001_initial"]) == [
        f"{package.name}.0001_initial"
    ]
    assert package.pending() == []
    assert f"{package.name}_item" not in table_names(tmp_path)
    assert run_sql(tmp_path, "SELECT version FROM addonkit_applied_release WHERE app_name = ?", package.name) == [
        ("1.4.0",)
    ]


async def test_fake_migration_without_names_records_all_pending(package):
    await migrate(package.location, {})
    await package.make_migration()
    package.write_models("    done = fields.BooleanField(default=False, db_default=False)")
    await package.make_migration()
    assert len(await fake_migrations(package.location, package.apps)) == 2
    assert await fake_migrations(package.location, package.apps) == []
    assert package.pending() == []


async def test_fake_migration_is_refused_before_an_earlier_pending_one(package):
    await migrate(package.location, {})
    await package.make_migration()
    package.write_models("    done = fields.BooleanField(default=False, db_default=False)")
    await package.make_migration("done")
    name = package.name
    with pytest.raises(SettingsInvalid, match=f"'{name}.0001_initial' precedes '{name}.0002_done' and is pending"):
        await fake_migrations(package.location, package.apps, [f"{name}.0002_done"])
    assert package.pending() == [f"{name}.0001_initial", f"{name}.0002_done"]


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("addonkit.0001_inital", "there is no migration 'addonkit.0001_inital'; did you mean 'addonkit.0001_initial'"),
        ("what", "there is no migration 'what'; 'addonkit migrate --check' lists the pending ones"),
        ("addonkit.0001_initial", "'addonkit.0001_initial' is already applied; omit it"),
    ],
)
async def test_fake_migration_of_an_unknown_or_applied_name_is_refused(location, name, result):
    await migrate(location, {})
    with pytest.raises(SettingsInvalid) as caught:
        await fake_migrations(location, {}, [name])
    assert result in str(caught.value)
