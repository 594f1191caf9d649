"""An open database: its settings and scope, and its transactions, also when tasks are cancelled."""

import asyncio
import os
import stat
import threading

import pytest
from addonkit.database.errors import DatabaseUnavailable
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from addonkit.database.sql import fetch
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenancy.models import UsedToken
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.connection import get_connection
from tortoise.context import get_current_context
from tortoise.exceptions import ConfigurationError, OperationalError
from tortoise.transactions import in_transaction

SCRIPT = """
INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('a;b', 1); -- one; two
INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('c', 1)
"""


@pytest.fixture
async def database(location):
    await migrate(location, {})
    async with tenant_database(location, {}) as database:
        yield database


async def test_database_in_a_missing_directory_is_refused_by_name(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"nowhere' does not exist"):
        async with tenant_database(Location("sqlite://nowhere/x.db", directory=tmp_path), {}):
            pass


@pytest.mark.sqlite
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
async def test_database_file_and_its_log_are_readable_by_their_owner_only(tmp_path, umask):
    former = os.umask(umask)
    try:
        location = Location(**database_settings(tmp_path))
        await migrate(location, {})
        async with tenant_database(location, {}):
            await UsedToken.create(digest="a", expires_at=1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(former)
    assert set(modes) >= {"addonkit.db", "addonkit.db-wal", "addonkit.db-shm"}
    assert set(modes.values()) == {0o600}


@pytest.mark.sqlite
async def test_database_file_that_exists_keeps_its_mode(tmp_path):
    location = Location(**database_settings(tmp_path))
    location.path.touch(0o640)
    location.path.chmod(0o640)
    await migrate(location, {})
    assert stat.S_IMODE(location.path.stat().st_mode) == 0o640


async def test_database_path_of_a_directory_is_refused(tmp_path):
    (tmp_path / "x.db").mkdir()
    with pytest.raises(SettingsInvalid, match="is a directory"):
        async with tenant_database(Location("sqlite://x.db", directory=tmp_path), {}):
            pass


async def test_database_file_with_other_contents_is_refused_and_can_be_replaced(tmp_path):
    location = Location("sqlite://addonkit.db", directory=tmp_path)
    location.path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(StorageUnavailable, match=r"addonkit\.db' cannot be opened"):
        async with tenant_database(location, {}):
            pass
    location.path.unlink()
    async with tenant_database(location, {}):
        assert get_current_context() is not None


async def test_second_database_in_one_process_has_its_own_rows(database, tmp_path):
    await UsedToken.create(digest="a" * 64, expires_at=1)
    other = Location("sqlite://other.db", directory=tmp_path)
    await migrate(other, {})
    async with tenant_database(other, {}):
        assert await UsedToken.all().count() == 0
        await UsedToken.create(digest="b" * 64, expires_at=1)
    assert [row.digest for row in await UsedToken.all()] == ["a" * 64]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5000)]
)
async def test_database_has_acknowledged_rows_on_disk(database, pragma, value):
    _, rows = await get_connection("default").execute_query(f"PRAGMA {pragma}")
    assert rows[0][0] == value


async def test_database_is_current_in_its_block_and_in_tasks_started_there(location):
    opened, done = asyncio.Event(), asyncio.Event()

    async def hold():
        async with tenant_database(location, {}):
            assert await asyncio.create_task(count()) == 0
            opened.set()
            await done.wait()

    async def count():
        return await UsedToken.all().count()

    await migrate(location, {})
    holder = asyncio.create_task(hold())
    await opened.wait()
    with pytest.raises(RuntimeError, match="active"):
        await count()
    done.set()
    await holder
    assert get_current_context() is None


async def test_database_that_is_not_opened_leaves_the_open_one_of_its_add_on_current(database, location):
    tenant_database(location, {}, database.runtime)
    with database.runtime.scope():
        assert await UsedToken.all().count() == 0


async def test_database_is_not_opened_again_by_a_task_that_outlives_it(location):
    closed = asyncio.Event()

    async def late(query):
        await closed.wait()
        return await query()

    queries = [lambda: fetch("SELECT digest FROM addonkit_used_token"), lambda: UsedToken.all().count()]
    await migrate(location, {})
    async with tenant_database(location, {}):
        tasks = [asyncio.create_task(late(query)) for query in queries]
        await asyncio.sleep(0)
    threads = threading.active_count()
    closed.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable, ConfigurationError]
    assert all("was closed" in str(outcome) for outcome in outcomes)
    assert threading.active_count() == threads


async def wait_until_idle():
    """Wait until no transaction is open; on PostgreSQL a cancelled transaction ends in the background."""
    client = get_connection("default")
    if isinstance(client, SqliteClient):
        assert not client._connection.in_transaction
        return
    async with asyncio.timeout(60):
        while client._pool.get_idle_size() < client._pool.get_size():  # noqa: ASYNC110 - the pool has no event for it
            await asyncio.sleep(0.001)


async def write(number):
    async with in_transaction():
        await UsedToken.create(digest=f"t{number}", expires_at=number)
    await UsedToken.bulk_create([UsedToken(digest=f"b{number}.{place}", expires_at=1) for place in range(5)])


async def test_sqlite_lock_and_transaction_end_with_a_cancelled_writer(database):
    for number in range(60):
        task = asyncio.create_task(write(number))
        for _ in range(number % 30):
            await asyncio.sleep(0.0002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(60):
            await UsedToken.create(digest=f"after {number}", expires_at=1)
        await wait_until_idle()
    assert await UsedToken.filter(digest__startswith="after").count() == 60


async def test_bulk_insert_is_all_or_nothing(database):
    await UsedToken.create(digest="b", expires_at=1)
    with pytest.raises(OperationalError):
        await UsedToken.bulk_create([UsedToken(digest=digest, expires_at=1) for digest in "ab"])
    assert await UsedToken.all().values_list("digest", flat=True) == ["b"]


async def test_transaction_that_fails_leaves_nothing(database):
    async def fail():
        async with in_transaction():
            await UsedToken.create(digest="a", expires_at=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await UsedToken.all().count() == 0


@pytest.mark.parametrize("depth", [1, 2])
async def test_transaction_is_not_ended_by_a_script(database, depth):
    async def fail(left):
        async with in_transaction() as client:
            if left > 1:
                await fail(left - 1)
            await client.execute_script(SCRIPT)
            assert await UsedToken.exists(digest="a;b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail(depth)
    assert await UsedToken.all().count() == 0
