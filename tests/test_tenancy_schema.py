"""Bringing the database to what the code expects."""

import asyncio
import itertools
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.tenancy import AppModules, Database, make, migrate, pending, tenant_scope
from tortoise.context import get_current_context

URL = "sqlite://addonkit.db"
SITE = Tenant(1, "site-1", "jira", "https://one.atlassian.net", "https://one.atlassian.net", TenantState.ENABLED)
ITEM = """
from tortoise import fields
from addonkit.tenancy import TenantModel

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
        self.modules = AppModules(f"{self.path.name}.models", f"{self.path.name}.migrations")
        self.write()

    def write(self, more=""):
        (self.path / "models.py").write_text(ITEM.format(name=self.name, more=more))
        for module in [name for name in sys.modules if name.startswith(f"{self.path.name}.models")]:
            del sys.modules[module]

    async def make(self, name=None):
        return await make(self.name, {self.name: self.modules}, name)

    async def migrate(self, place):
        return await migrate(URL, {self.name: self.modules}, directory=place)

    def pending(self, place):
        return pending(URL, {self.name: self.path}, place)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Package(tmp_path)


def tables(place):
    with closing(sqlite3.connect(place / "addonkit.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_the_runtimes_migrations_are_what_its_models_say():
    assert await make("addonkit", {}) is None


async def test_a_new_database_lacks_everything_and_then_nothing(tmp_path):
    assert pending(URL, {}, tmp_path) == ["addonkit.0001_initial"]
    assert not (tmp_path / "addonkit.db").exists()
    told = []
    assert await migrate(URL, {}, told.append, tmp_path) == ["addonkit.0001_initial"]
    assert told == ["addonkit.0001_initial"]
    assert pending(URL, {}, tmp_path) == []
    assert {"addonkit_tenant", "addonkit_used_token", "addonkit_lifecycle_notice"} <= tables(tmp_path)


async def test_migrating_twice_does_nothing_the_second_time(tmp_path):
    await migrate(URL, {}, directory=tmp_path)
    assert await migrate(URL, {}, directory=tmp_path) == []


async def test_a_plugins_first_migration_is_written_applied_and_then_up_to_date(package, tmp_path):
    written = await package.make()
    assert written == package.path / "migrations" / "0001_initial.py"
    assert package.pending(tmp_path) == ["addonkit.0001_initial", f"{package.name}.0001_initial"]
    assert await package.migrate(tmp_path) == ["addonkit.0001_initial", f"{package.name}.0001_initial"]
    assert f"{package.name}_item" in tables(tmp_path)
    assert await package.make() is None


async def test_looking_for_what_is_pending_imports_no_plugin(package, tmp_path):
    await package.make()
    for module in [name for name in sys.modules if name.startswith(package.path.name)]:
        del sys.modules[module]
    package.pending(tmp_path)
    assert not [name for name in sys.modules if name.startswith(package.path.name)]


async def test_a_changed_model_gets_a_named_migration_and_rows_stay(package, tmp_path):
    await package.make()
    await package.migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection, connection:
        connection.execute(f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    package.write("    done = fields.BooleanField(default=False, db_default=False)")
    assert (await package.make("Add done")).name == "0002_add_done.py"
    assert package.pending(tmp_path) == [f"{package.name}.0002_add_done"]
    await package.migrate(tmp_path)
    async with Database(URL, {package.name: package.modules}, tmp_path):
        with tenant_scope(SITE):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", "done") == [("kept", False)]


async def test_a_plugin_that_is_switched_off_and_on_keeps_its_rows(package, tmp_path):
    await package.make()
    await package.migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection, connection:
        connection.execute(f"INSERT INTO {package.name}_item (title, tenant_id) VALUES ('kept', 1)")
    assert await migrate(URL, {}, directory=tmp_path) == []
    assert pending(URL, {}, tmp_path) == []
    assert await package.migrate(tmp_path) == []
    async with Database(URL, {package.name: package.modules}, tmp_path):
        with tenant_scope(SITE):
            item = get_current_context().get_model(package.name, "Item")
            assert await item.all().values_list("title", flat=True) == ["kept"]


@pytest.mark.parametrize("door", ["migrate", "pending"])
async def test_a_newer_database_is_refused_by_name(package, tmp_path, door):
    await package.make()
    await package.migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection, connection:
        connection.execute(
            "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES (?, '0002_later', '2026-01-01')",
            [package.name],
        )
    with pytest.raises(SettingsInvalid, match=f"newer release: it has the migration '0002_later' of '{package.name}'"):
        package.pending(tmp_path) if door == "pending" else await package.migrate(tmp_path)


BROKEN = """
from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [("{name}", "0001_initial")]
    operations = [ops.RunSQL("CREATE TABLE {name}_half (id INT)"), ops.RunSQL("CREATE TABLE nonsense (")]
"""


async def test_a_failing_migration_leaves_the_database_as_it_was(package, tmp_path):
    await migrate(URL, {}, directory=tmp_path)
    await package.make()
    (package.path / "migrations" / "0002_broken.py").write_text(BROKEN.format(name=package.name))
    before = tables(tmp_path)
    with pytest.raises(StorageUnavailable, match="all undone"):
        await package.migrate(tmp_path)
    assert tables(tmp_path) == before
    (package.path / "migrations" / "0002_broken.py").unlink()
    assert await package.migrate(tmp_path) == [f"{package.name}.0001_initial"]


PART = """

class Part(TenantModel):
    id = fields.IntField(primary_key=True)
    item = fields.ForeignKeyField("{name}.Item", related_name="parts")

    class Meta:
        table = "{name}_part"
"""


async def test_a_table_that_is_copied_to_lose_a_column_keeps_what_refers_to_it(package, tmp_path):
    models, part = package.path / "models.py", PART.format(name=package.name)
    package.write("    note = fields.CharField(9, default='')")
    models.write_text(models.read_text() + part)
    await package.make()
    await package.migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection, connection:
        connection.execute(f"INSERT INTO {package.name}_item (id, title, note, tenant_id) VALUES (1, 'a', '', 1)")
        connection.execute(f"INSERT INTO {package.name}_part (item_id, tenant_id) VALUES (1, 1)")
    package.write()
    models.write_text(models.read_text() + part)
    await package.make()
    assert len(await package.migrate(tmp_path)) == 1
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection:
        assert connection.execute(f"SELECT item_id FROM {package.name}_part").fetchall() == [(1,)]
        assert "note" not in [row[1] for row in connection.execute(f"PRAGMA table_info({package.name}_item)")]


async def test_a_docstring_may_have_semicolons_and_quotes(package, tmp_path):
    package.write('    done = fields.BooleanField(default=False, description="it\'s done; or not")')
    models = package.path / "models.py"
    models.write_text(models.read_text().replace("(TenantModel):", '(TenantModel):\n    """A row; it\'s one."""'))
    await package.make()
    assert len(await package.migrate(tmp_path)) == 2


async def test_a_file_that_is_no_database_cannot_be_looked_at(tmp_path):
    (tmp_path / "addonkit.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        pending(URL, {}, tmp_path)


async def test_a_plugin_without_models_has_nothing_to_migrate():
    with pytest.raises(PluginError, match="'nothing' has no models"):
        await make("nothing", {})


PROGRAM = """
import asyncio, pathlib, sys
from addonkit.tenancy import migrate
done = asyncio.run(migrate("sqlite://addonkit.db", {}, directory=pathlib.Path(sys.argv[1])))
print(",".join(done))
"""


def side_by_side(program, place, names):
    """Run a program once for each name, all at once; give exit status, output and errors of each."""
    commands = [[sys.executable, "-c", program, str(place), name] for name in names]
    started = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for command in commands]
    answers = [process.communicate(timeout=60) for process in started]
    return [(process.returncode, out.strip(), err) for process, (out, err) in zip(started, answers, strict=True)]


def test_four_processes_at_once_all_succeed_and_one_does_it(tmp_path):
    answers = side_by_side(PROGRAM, tmp_path, "abcd")
    assert sorted(answers) == [(0, "", "")] * 3 + [(0, "addonkit.0001_initial", "")]


WRITER = """
import asyncio, pathlib, sys
from addonkit.tenancy import Database
from addonkit.tenancy.models import UsedToken
from tortoise.transactions import in_transaction

async def main():
    async with Database("sqlite://addonkit.db", {}, pathlib.Path(sys.argv[1])):
        for number in range(100):
            async with in_transaction():
                count = await UsedToken.all().count()
                await UsedToken.create(digest=f"{sys.argv[2]}.{number}", expires_at=count)

asyncio.run(main())
"""


async def test_two_processes_that_read_and_write_in_transactions_do_not_fail(tmp_path):
    await migrate(URL, {}, directory=tmp_path)
    assert await asyncio.to_thread(side_by_side, WRITER, tmp_path, "ab") == [(0, "", "")] * 2
    with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection:
        seen = {number for (number,) in connection.execute("SELECT expires_at FROM addonkit_used_token")}
    assert seen == set(range(200))


KILLED = """
import asyncio, os, pathlib, signal, sys
from addonkit.tenancy import migrate
die = lambda step: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(migrate("sqlite://addonkit.db", {}, die, pathlib.Path(sys.argv[1])))
"""


async def test_a_process_killed_in_the_middle_of_a_migration_blocks_and_breaks_nothing(tmp_path):
    assert await asyncio.to_thread(side_by_side, KILLED, tmp_path, "a") == [(-9, "", "")]
    assert pending(URL, {}, tmp_path) == ["addonkit.0001_initial"]
    assert await migrate(URL, {}, directory=tmp_path) == ["addonkit.0001_initial"]
