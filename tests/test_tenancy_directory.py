"""Sites in memory: what costs a query and what does not."""

import asyncio
import time

import pytest
from addonkit.errors import StorageUnavailable
from addonkit.tenancy import Database, Directory, Installation, TenantStore, TokenUse, Vault, migrate
from tortoise.connection import get_connection

URL = "sqlite://addonkit.db"
VAULT = Vault([("k1", b"k" * 32)])
NOW = int(time.time())


@pytest.fixture
async def store(tmp_path):
    await migrate(URL, {}, directory=tmp_path)
    async with Database(URL, {}, tmp_path):
        store = TenantStore(VAULT)
        await install(store, "f" * 40)
        yield store


@pytest.fixture
async def queries(store):
    asked = []
    await get_connection("default")._connection.set_trace_callback(asked.append)
    return asked


async def install(store, secret, key="site-1"):
    await store.install(
        Installation(key, "jira", "https://one.atlassian.net", secret),
        TokenUse.of(f"head.{key}{secret}.sig", issued_at=NOW, expires_at=NOW + 180),
        [],
    )


async def test_a_warm_site_costs_no_query(store, queries):
    directory = Directory(store)
    first = await directory.get("site-1")
    queries.clear()
    assert await directory.get("site-1") is first
    assert queries == []


async def test_a_warm_site_is_given_without_suspending(store):
    directory = Directory(store)
    await directory.get("site-1")
    with pytest.raises(StopIteration):
        directory.get("site-1").send(None)


async def test_what_is_cached_is_given_at_once_and_nothing_else(store):
    directory = Directory(store)
    assert directory.get_cached("site-1") is None
    record = await directory.get("site-1")
    assert directory.get_cached("site-1") is record


async def test_concurrent_cold_reads_of_one_site_are_one_query(store, queries):
    directory = Directory(store)
    records = await asyncio.gather(*(directory.get("site-1") for _ in range(20)))
    assert len(queries) == 1
    assert len({id(record) for record in records}) == 1


async def test_an_unknown_site_is_asked_for_once(store, queries):
    directory = Directory(store)
    assert await directory.get("site-9") is None
    assert await directory.get("site-9") is None
    assert len(queries) == 1


async def test_invented_names_do_not_push_sites_out(store, queries):
    directory = Directory(store, max_size=4)
    await directory.get("site-1")
    for number in range(20):
        await directory.get(f"invented-{number}")
    queries.clear()
    assert await directory.get("site-1") is not None
    assert queries == []


async def test_no_more_sites_are_kept_than_asked_for(store, queries):
    directory = Directory(store, max_size=2)
    for number in range(2, 5):
        await install(store, "f" * 40, f"site-{number}")
        await directory.get(f"site-{number}")
    queries.clear()
    await directory.get("site-2")
    assert len(queries) == 1


async def test_an_old_entry_is_read_again(store, queries):
    directory = Directory(store, max_age_s=0.05)
    await directory.get("site-1")
    await asyncio.sleep(0.06)
    queries.clear()
    await directory.get("site-1")
    assert len(queries) == 1


async def test_a_changed_site_is_seen_after_forgetting(store):
    directory = Directory(store)
    await directory.get("site-1")
    await install(store, "s" * 40)
    assert (await directory.get("site-1")).secret == b"f" * 40
    directory.forget("site-1")
    assert (await directory.get("site-1")).secret == b"s" * 40


async def test_a_new_site_is_seen_after_forgetting(store):
    directory = Directory(store)
    assert await directory.get("site-2") is None
    await install(store, "f" * 40, "site-2")
    directory.forget("site-2")
    assert await directory.get("site-2") is not None


async def test_a_reading_that_was_overtaken_is_not_kept(store):
    directory = Directory(store)
    async with get_connection("default")._lock:
        reading = asyncio.create_task(directory.get("site-1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        directory.forget("site-1")
    await reading
    assert directory.get_cached("site-1") is None


async def test_a_reread_sees_a_secret_that_another_process_stored(store):
    directory = Directory(store)
    await directory.get("site-1")
    await install(store, "s" * 40)
    assert (await directory.reread("site-1")).secret == b"s" * 40
    assert directory.get_cached("site-1").secret == b"s" * 40


async def test_rereads_of_one_site_are_one_query_a_second(store, queries):
    directory = Directory(store)
    await asyncio.gather(*(directory.reread("site-1") for _ in range(20)))
    for _ in range(20):
        assert (await directory.reread("site-1")) is not None
    assert len(queries) == 1


async def test_rereads_of_different_sites_do_not_hold_each_other_up(store, queries):
    directory = Directory(store)
    await install(store, "f" * 40, "site-2")
    queries.clear()
    await directory.reread("site-1")
    await directory.reread("site-2")
    assert len(queries) == 2


async def test_a_caller_that_leaves_does_not_take_the_reading_with_it(store):
    directory = Directory(store)
    async with get_connection("default")._lock:
        leaving = asyncio.create_task(directory.get("site-1"))
        staying = asyncio.create_task(directory.get("site-1"))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.sleep(0.01)
    assert await staying is not None


async def test_a_failed_reading_is_not_remembered(store):
    directory = Directory(store)
    connection = get_connection("default")
    await connection.execute_script("ALTER TABLE addonkit_tenant RENAME TO away")
    with pytest.raises(StorageUnavailable):
        await directory.get("site-1")
    await connection.execute_script("ALTER TABLE away RENAME TO addonkit_tenant")
    assert await directory.get("site-1") is not None
