"""SQLite files give the space of deleted rows back to the disk, on real files."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest
from addonkit.app.migrate import upgrade
from addonkit.database import free_space
from addonkit.database.free_space import RESERVE_PAGES, STEP_PAGES, SpaceKeeper, compact, give_back
from addonkit.database.lock import AlreadyServed, serving_lock
from addonkit.database.sql import execute, fetch
from addonkit.errors import StorageUnavailable
from addonkit.supervised_task import SupervisedTask
from addonkit.tenant_data.connection import tenant_database

from tests.distributions.third_party import Terminal
from tests.support.plugin_under_test import deployment
from tests.support.served import until

pytestmark = pytest.mark.sqlite

ROWS = 2000
FILL = f"""
INSERT INTO addonkit_done_job (id, tenant_id, plugin, name, kind, payload, version, facts, due_at, starts, failures,
    created_at, finished_at)
SELECT n, 1, 'a', 'b', 'job', zeroblob(6000), 1, '{{}}', 0, 0, 0, 0, 0 FROM (
    WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {ROWS}) SELECT n FROM t)
"""
MODE = "PRAGMA auto_vacuum"


async def migrated(folder):
    found = deployment(folder, database={"url": f"sqlite://{folder / 'kit.db'}"})
    await upgrade(found)
    return found


@asynccontextmanager
async def emptied(folder):
    """An open database of more than 12 MB whose rows were deleted."""
    found = await migrated(folder)
    async with tenant_database(found.location, {}):
        await execute(FILL)
        await execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await execute("DELETE FROM addonkit_done_job")
        yield found.location.path


def mode_of(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(MODE).fetchone()[0]


def without_auto_vacuum(file):
    """Rewrite a file as an earlier release would have created it, with rows that were deleted."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        connection.execute(FILL)
        connection.execute("DELETE FROM addonkit_done_job WHERE id > 100")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def free_pages():
    return (await fetch("PRAGMA freelist_count"))[0]["freelist_count"]


async def test_new_file_can_give_space_back_and_is_private(tmp_path):
    found = await migrated(tmp_path)
    assert mode_of(found.location.path) == 2
    async with tenant_database(found.location, {}):
        await execute(FILL)
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("kit.db*")}
    assert modes == dict.fromkeys(modes, 0o600)
    assert {"kit.db", "kit.db-wal", "kit.db-shm"} <= modes.keys()


async def test_file_shrinks_after_its_rows_are_deleted(tmp_path, monkeypatch):
    async with emptied(tmp_path) as file:
        before = file.stat().st_size
        assert before > 12_000_000
        monkeypatch.setattr(free_space, "ROUND_S", 0.01)
        keeper = SupervisedTask("free space", SpaceKeeper().run)
        await until(lambda: file.stat().st_size < 3_000_000)
        await keeper.cancel()
        while await give_back():
            pass
        assert RESERVE_PAGES >= await free_pages() > 0
        assert (await fetch("PRAGMA integrity_check"))[0]["integrity_check"] == "ok"


async def test_step_gives_back_no_more_than_its_pages(tmp_path):
    async with emptied(tmp_path):
        free = await free_pages()
        assert await give_back() == STEP_PAGES
        assert await free_pages() == free - STEP_PAGES


@pytest.mark.parametrize(
    ("beyond_reserve", "given"), [(-5, 0), (0, 0), (1, 1), (STEP_PAGES, STEP_PAGES), (STEP_PAGES + 1, STEP_PAGES)]
)
async def test_reserve_of_free_pages_is_kept(tmp_path, beyond_reserve, given):
    async with emptied(tmp_path):
        free = await free_pages()
        assert await give_back(free - beyond_reserve) == given
        assert await free_pages() == free - given


async def test_other_writer_gets_its_turn_between_two_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(free_space, "ROUND_S", 0.01)
    async with emptied(tmp_path) as file:
        keeper = SupervisedTask("free space", SpaceKeeper().run)
        with closing(sqlite3.connect(file, isolation_level=None, timeout=5, check_same_thread=False)) as other:
            for number in range(20):
                await asyncio.to_thread(other.execute, "UPDATE addonkit_schedule SET next_at = ?", [number])
        await until(lambda: file.stat().st_size < 3_000_000)
        await keeper.cancel()


async def test_file_of_an_earlier_release_keeps_its_size_and_works(tmp_path):
    found = await migrated(tmp_path)
    without_auto_vacuum(found.location.path)
    size = found.location.path.stat().st_size
    async with tenant_database(found.location, {}):
        assert await give_back() == 0
        assert len(await fetch("SELECT id FROM addonkit_done_job")) == 100
    assert found.location.path.stat().st_size == size
    assert mode_of(found.location.path) == 0


async def test_compact_shrinks_a_file_of_an_earlier_release_and_keeps_its_rows(tmp_path):
    found = await migrated(tmp_path)
    file = found.location.path
    without_auto_vacuum(file)
    size, rights = file.stat().st_size, file.stat().st_mode
    before, after = await compact(file)
    assert (before, after) == (size, file.stat().st_size)
    assert after < before / 5
    assert (mode_of(file), file.stat().st_mode) == (2, rights)
    async with tenant_database(found.location, {}):
        assert len(await fetch("SELECT id FROM addonkit_done_job")) == 100
        assert (await fetch("PRAGMA integrity_check"))[0]["integrity_check"] == "ok"


async def test_compact_refuses_while_a_process_serves(tmp_path):
    found = await migrated(tmp_path)
    with serving_lock(found.location.path), pytest.raises(AlreadyServed, match="already serves"):
        await compact(found.location.path)


def disk(free):
    return type("Usage", (), {"free": free})()


async def test_compact_refuses_a_disk_with_too_little_space(tmp_path, monkeypatch):
    found = await migrated(tmp_path)
    size = found.location.path.stat().st_size
    monkeypatch.setattr(free_space.shutil, "disk_usage", lambda _: disk(2 * size - 1))
    with pytest.raises(StorageUnavailable, match="expected twice the size of the file"):
        await compact(found.location.path)
    monkeypatch.setattr(free_space.shutil, "disk_usage", lambda _: disk(2 * size))
    await compact(found.location.path)


async def test_compact_says_if_another_program_uses_the_file(tmp_path, monkeypatch):
    found = await migrated(tmp_path)
    monkeypatch.setattr(free_space, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(found.location.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match=r"cannot be rewritten .*stop all processes"):
            await compact(found.location.path)
        other.execute("ROLLBACK")


@pytest.fixture
def terminal(monkeypatch, capsys, tmp_path):
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_bare")
    return terminal


def test_command_compacts_and_says_how_much_was_free(terminal):
    assert terminal("migrate").code == 0
    [file] = terminal.directory.glob("*.db")
    without_auto_vacuum(file)
    result = terminal("migrate", "--compact")
    assert result.code == 0, result
    assert f"'{file}' has {file.stat().st_size:,} bytes, " in result.out
    assert "fewer than before" in result.out
    assert mode_of(file) == 2


@pytest.mark.parametrize("other", ["--check", "--fake"])
def test_command_compacts_alone(terminal, other):
    result = terminal("migrate", "--compact", other)
    assert result.code == 2
    assert f"--compact and {other} exclude each other" in result.err
