"""Bringing the database to what the code expects."""

import asyncio
import itertools
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.database.migrate import fake_migrations, make_migration, migrate
from addonkit.database.pending import pending
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import database_settings, database_variables, on_postgresql, run_sql
from tortoise.context import get_current_context

RUNTIME = [
    "addonkit.0001_initial",
    "addonkit.0002_history_and_releases",
    "addonkit.0003_jobs",
    "addonkit.0004_schedules_in_steps",
]
SITE = Tenant(1, "site-1", "jira", "https://one.atlassian.net", "https://one.atlassian.net", TenantState.ENABLED)
ITEM = """
from tortoise import fields
from addonkit.tenant_data.model import TenantModel

class Item(TenantModel):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
{more}
    class Meta:
        table = "{name}_item"
"""
numbers = itertools.count()


class Package:
    """A plugin's package with models, in a directory of its own, under a name that no other test used."""

    def __init__(self, place):
        self.name = f"shop{next(numbers)}"
        self.path = place / f"addonkit_{self.name}"
        self.path.mkdir()
        (self.path / "__init__.py").touch()
        self.location = Location(**database_settings(place))
        self.modules = AppModules(f"{self.path.name}.models", f"{self.path.name}.migrations", "addonkit-shop", "1.4.0")
        self.apps = {self.name: self.modules}
        self.write()

    def write(self, more=""):
        (self.path / "models.py").write_text(ITEM.format(name=self.name, more=more))
        for module in [name for name in sys.modules if name.startswith(f"{self.path.name}.models")]:
            del sys.modules[module]

    async def make(self, name=None):
        return await make_migration(self.name, self.apps, name)

    async def migrate(self):
        return steps_of(await migrate(self.location, self.apps))

    def pending(self):
        return pending(self.location, {self.name: self.path})


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Package(tmp_path)


@pytest.fixture
def location(tmp_path):
    return Location(**database_settings(tmp_path))


def tables(place):
    if on_postgresql():
        return {name for (name,) in run_sql(place, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return {name for (name,) in run_sql(place, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def steps_of(done):
    """The migrations among what was done; the rest is PostgreSQL's wall."""
    return [result for result in done if " " not in result]


async def test_migrations_of_the_runtime_match_its_models():
    assert await make_migration("addonkit", {}) is None


async def test_migrate_applies_everything_to_a_new_database(location, tmp_path):
    assert pending(location, {}) == RUNTIME
    told = []
    assert await migrate(location, {}, told.append) == told
    assert steps_of(told) == RUNTIME
    assert pending(location, {}) == []
    assert {"addonkit_tenant", "addonkit_used_token", "addonkit_job"} <= tables(tmp_path)


@pytest.mark.sqlite
async def test_pending_check_creates_no_file(location):
    pending(location, {})
    assert not location.path.exists()


async def test_migrate_does_nothing_the_second_time(location):
    await migrate(location, {})
    assert await migrate(location, {}) == []


async def test_migration_of_a_plugin_is_written_and_applied(package, tmp_path):
    written = await package.make()
    assert written == package.path / "migrations" / "0001_initial.py"
    assert package.pending() == [*RUNTIME, f"{package.name}.0001_initial"]
    assert await package.migrate() == [*RUNTIME, f"{package.name}.0001_initial"]
    assert f"{package.name}_item" in tables(tmp_path)
    assert await package.make() is None


async def test_pending_check_imports_no_plugin(package, tmp_path):
    await package.make()
    for module in [name for name in sys.modules if name.startswith(package.path.name)]:
        del sys.modules[module]
    package.pending()
    assert not [name for name in sys.modules if name.startswith(package.path.name)]


async def test_migration_of_a_changed_model_is_named_and_keeps_rows(package, tmp_path):
    await package.make()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    package.write("    done = fields.BooleanField(default=False, db_default=False)")
    assert (await package.make("Add done")).name == "0002_add_done.py"
    assert package.pending() == [f"{package.name}.0002_add_done"]
    await package.migrate()
    async with tenant_database(package.location, package.apps):
        with tenant_scope(SITE):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", "done") == [("kept", False)]


async def test_migrate_keeps_rows_of_a_plugin_that_is_switched_off(package, tmp_path):
    await package.make()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    assert await migrate(package.location, {}) == []
    assert pending(package.location, {}) == []
    assert await package.migrate() == []
    async with tenant_database(package.location, package.apps):
        with tenant_scope(SITE):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", flat=True) == ["kept"]


@pytest.mark.parametrize("door", ["migrate", "pending", "fake"])
async def test_migrate_refuses_a_newer_database_and_names_its_release(package, tmp_path, door):
    await package.make()
    await package.migrate()
    run_sql(
        tmp_path,
        "INSERT INTO tortoise_migrations (app, name, applied_at) "
        f"VALUES ('{package.name}', '0002_later', '2026-01-01 00:00:00+00')",
    )
    result = f"newer release: it has the migration '0002_later' of '{package.name}', which the installed release lacks"
    with pytest.raises(SettingsInvalid, match=result):
        await through(door, package)
    run_sql(
        tmp_path,
        "INSERT INTO addonkit_applied_release (app_name, name, distribution, version, at) "
        f"VALUES ('{package.name}', '0002_later', 'addonkit-shop', '2.0.1', '2026-01-01 00:00:00+00')",
    )
    with pytest.raises(SettingsInvalid, match=r"from 'addonkit-shop 2\.0\.1', which .* install that release"):
        await through(door, package)


async def through(door, package):
    """Enter by one of the doors that look at what a database has."""
    if door == "pending":
        package.pending()
    else:
        await {"migrate": migrate, "fake": fake_migrations}[door](package.location, package.apps)


async def test_migration_is_recorded_with_its_release(package, tmp_path):
    await package.make()
    await package.migrate()
    rows = run_sql(
        tmp_path, "SELECT app_name, name, distribution, version FROM addonkit_applied_release ORDER BY name, app_name"
    )
    own = version("addonkit")
    assert rows == [
        ("addonkit", "0001_initial", "addonkit", own),
        (package.name, "0001_initial", "addonkit-shop", "1.4.0"),
        ("addonkit", "0002_history_and_releases", "addonkit", own),
        ("addonkit", "0003_jobs", "addonkit", own),
        ("addonkit", "0004_schedules_in_steps", "addonkit", own),
    ]


BROKEN = """
from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [("{name}", "0001_initial")]
    operations = [ops.RunSQL("CREATE TABLE {name}_half (id INT)"), ops.RunSQL("CREATE TABLE nonsense (")]
"""


async def test_migration_that_fails_leaves_the_database_unchanged(package, tmp_path):
    await migrate(package.location, {})
    await package.make()
    (package.path / "migrations" / "0002_broken.py").write_text(BROKEN.format(name=package.name))
    before = tables(tmp_path)
    with pytest.raises(StorageUnavailable, match="all rolled back"):
        await package.migrate()
    assert tables(tmp_path) == before
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
    package.write("    note = fields.CharField(9, default='')")
    models.write_text(models.read_text() + part)
    await package.make()
    await package.migrate()
    run_sql(tmp_path, f"INSERT INTO {package.name}_item (id, title, note, tenant_id) VALUES (1, 'a', '', 1)")
    run_sql(tmp_path, f"INSERT INTO {package.name}_part (item_id, tenant_id) VALUES (1, 1)")
    package.write()
    models.write_text(models.read_text() + part)
    await package.make()
    assert len(await package.migrate()) == 1
    assert run_sql(tmp_path, f"SELECT item_id FROM {package.name}_part") == [(1,)]
    with pytest.raises(Exception, match="note"):
        run_sql(tmp_path, f"SELECT note FROM {package.name}_item")


async def test_migration_accepts_semicolons_and_quotes_in_a_docstring(package, tmp_path):
    package.write('    done = fields.BooleanField(default=False, description="it\'s done; or not")')
    models = package.path / "models.py"
    models.write_text(models.read_text().replace("(TenantModel):", '(TenantModel):\n    """A row; it\'s one."""'))
    await package.make()
    assert len(await package.migrate()) == len(RUNTIME) + 1


async def test_pending_check_refuses_a_file_with_other_contents(tmp_path):
    location = Location("sqlite://addonkit.db", directory=tmp_path)
    location.path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        pending(location, {})


async def test_migration_of_a_plugin_without_models_is_refused():
    with pytest.raises(PluginError, match="'nothing' has no models"):
        await make_migration("nothing", {})


async def test_fake_migration_is_recorded_without_running(package, tmp_path):
    await migrate(package.location, {})
    await package.make()
    assert await fake_migrations(package.location, package.apps, [f"{package.name}.0001_initial"]) == [
        f"{package.name}.0001_initial"
    ]
    assert package.pending() == []
    assert f"{package.name}_item" not in tables(tmp_path)
    assert run_sql(tmp_path, "SELECT version FROM addonkit_applied_release WHERE app_name = ?", package.name) == [
        ("1.4.0",)
    ]


async def test_fake_migration_without_names_records_all_pending(package):
    await migrate(package.location, {})
    await package.make()
    package.write("    done = fields.BooleanField(default=False, db_default=False)")
    await package.make()
    assert len(await fake_migrations(package.location, package.apps)) == 2
    assert await fake_migrations(package.location, package.apps) == []
    assert package.pending() == []


async def test_fake_migration_is_refused_before_an_earlier_pending_one(package):
    await migrate(package.location, {})
    await package.make()
    package.write("    done = fields.BooleanField(default=False, db_default=False)")
    await package.make("done")
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


PROGRAM = """
import asyncio, os
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
table = {key.rpartition("__")[2].lower(): value for key, value in os.environ.items() if "_DATABASE__" in key}
LOCATION = Location(**table)
"""
MIGRATING = PROGRAM + 'print(",".join(asyncio.run(migrate(LOCATION, {}))))'


def side_by_side(program, place, names):
    """Run a program once for each name, all at once; give exit status, output and errors of each."""
    variables = {**os.environ, **database_variables(place)}
    commands = [[sys.executable, "-c", program, name] for name in names]
    started = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=variables) for command in commands]
    answers = [process.communicate(timeout=60) for process in started]
    return [(process.returncode, out.strip(), err) for process, (out, err) in zip(started, answers, strict=True)]


async def test_migration_lock_lets_one_of_four_processes_migrate(tmp_path):
    answers = await asyncio.to_thread(side_by_side, MIGRATING, tmp_path, "abcd")
    assert [(status, errors) for status, _, errors in answers] == [(0, "")] * 4
    *idle, busy = sorted(out.split(",") for _, out, _ in answers)
    assert idle == [[""]] * 3
    assert steps_of(busy) == RUNTIME


WRITER = (
    PROGRAM
    + """
import sys
from addonkit.database.connection import Database
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenancy.models import UsedToken
from tortoise.transactions import in_transaction

async def main():
    async with tenant_database(LOCATION, {}):
        for number in range(100):
            async with in_transaction():
                count = await UsedToken.all().count()
                await UsedToken.create(digest=f"{sys.argv[1]}.{number}", expires_at=count)

asyncio.run(main())
"""
)


@pytest.mark.sqlite
async def test_transactions_of_two_processes_wait_for_each_other(location, tmp_path):
    await migrate(location, {})
    assert await asyncio.to_thread(side_by_side, WRITER, tmp_path, "ab") == [(0, "", "")] * 2
    seen = {number for (number,) in run_sql(tmp_path, "SELECT expires_at FROM addonkit_used_token")}
    assert seen == set(range(200))


KILLED = (
    PROGRAM
    + """
import signal
asyncio.run(migrate(LOCATION, {}, lambda step: os.kill(os.getpid(), signal.SIGKILL)))
"""
)


async def test_migration_of_a_killed_process_is_rolled_back_and_its_lock_released(location, tmp_path):
    assert await asyncio.to_thread(side_by_side, KILLED, tmp_path, "a") == [(-9, "", "")]
    assert pending(location, {}) == RUNTIME
    assert steps_of(await migrate(location, {})) == RUNTIME
    assert pending(location, {}) == []
