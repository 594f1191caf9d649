"""Sites in memory: what costs a query and what does not."""

import asyncio
import time

import pytest
from addonkit.errors import StorageUnavailable
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import ask

from tests.support.statements import recorded_statements

VAULT = Vault([("k1", b"k" * 32)])
NOW = int(time.time())


@pytest.fixture
async def store(location):
    async with tenant_database(location, {}):
        store = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)
        await install(store, "f" * 40)
        yield store


@pytest.fixture
async def queries(store):
    async with recorded_statements() as asked:
        yield asked


class Gate(asyncio.Event):
    """What readings that have come back from the database wait at until it is opened."""

    def __init__(self):
        super().__init__()
        self.reached = asyncio.Event()


@pytest.fixture
def gate(store, monkeypatch):
    gate, find = Gate(), store.find

    async def finding(client_key):
        record = await find(client_key)
        gate.reached.set()
        await gate.wait()
        return record

    monkeypatch.setattr(store, "find", finding)
    return gate


async def install(store, secret, key="site-1"):
    await store.install(
        Installation(key, "jira", "https://one.atlassian.net", secret),
        TokenUse.of(f"head.{key}{secret}.sig", issued_at=NOW, expires_at=NOW + 9000),
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


async def test_an_unknown_site_is_asked_for_a_few_times_a_second(store, queries):
    directory = Directory(store)
    for _ in range(20):
        assert await directory.get("site-9") is None
    assert 1 < len(queries) <= 5


async def test_a_site_that_another_process_installs_is_served_though_it_was_asked_for_before(store):
    directory = Directory(store)
    assert await directory.get("site-2") is None
    await install(store, "f" * 40, "site-2")
    assert await directory.get("site-2") is not None


async def test_a_site_installed_while_it_is_read_is_served_to_who_comes_after_that(store, gate):
    directory = Directory(store)
    before = asyncio.create_task(directory.get("site-2"))
    await gate.reached.wait()
    await install(store, "f" * 40, "site-2")
    after = asyncio.create_task(directory.get("site-2"))
    await asyncio.sleep(0)
    gate.set()
    assert await before is None
    assert await after is not None


async def test_a_reread_is_of_now_though_a_reading_from_before_is_under_way(store, gate):
    directory = Directory(store)
    before = asyncio.create_task(directory.reread("site-1"))
    await gate.reached.wait()
    await install(store, "s" * 40)
    after = asyncio.create_task(directory.reread("site-1"))
    await asyncio.sleep(0)
    gate.set()
    assert (await before).secret == b"f" * 40
    assert (await after).secret == b"s" * 40


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


async def test_all_that_was_known_is_read_again_after_clearing(store, queries):
    directory = Directory(store)
    assert await directory.get("site-1") is not None
    assert await directory.get("site-2") is None
    directory.clear()
    queries.clear()
    assert await directory.get("site-1") is not None
    assert await directory.get("site-2") is None
    assert len(queries) == 2


async def test_a_reading_that_was_overtaken_by_clearing_is_not_kept(store, gate):
    directory = Directory(store)
    reading = asyncio.create_task(directory.get("site-1"))
    await gate.reached.wait()
    directory.clear()
    gate.set()
    await reading
    assert directory.get_cached("site-1") is None


async def test_a_reading_that_was_overtaken_is_not_kept(store, gate):
    directory = Directory(store)
    reading = asyncio.create_task(directory.get("site-1"))
    await gate.reached.wait()
    directory.forget("site-1")
    gate.set()
    await reading
    assert directory.get_cached("site-1") is None


async def test_a_reread_sees_a_secret_that_another_process_stored(store):
    directory = Directory(store)
    await directory.get("site-1")
    await install(store, "s" * 40)
    assert (await directory.reread("site-1")).secret == b"s" * 40
    assert directory.get_cached("site-1").secret == b"s" * 40


async def test_rereads_of_one_site_are_a_few_queries_a_second(store, queries):
    directory = Directory(store)
    await asyncio.gather(*(directory.reread("site-1") for _ in range(20)))
    for _ in range(20):
        assert (await directory.reread("site-1")) is not None
    assert len(queries) <= 4


async def test_rereads_of_different_sites_do_not_hold_each_other_up(store, queries):
    directory = Directory(store)
    await install(store, "f" * 40, "site-2")
    queries.clear()
    await directory.reread("site-1")
    await directory.reread("site-2")
    assert len(queries) == 2


async def test_a_caller_that_leaves_does_not_take_the_reading_with_it(store, gate):
    directory = Directory(store)
    leaving = asyncio.create_task(directory.get("site-1"))
    staying = asyncio.create_task(directory.get("site-1"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    assert await staying is not None


async def test_a_failed_reading_is_not_remembered(store, tmp_path):
    directory = Directory(store)
    ask(tmp_path, "ALTER TABLE addonkit_tenant RENAME TO away")
    with pytest.raises(StorageUnavailable):
        await directory.get("site-1")
    ask(tmp_path, "ALTER TABLE away RENAME TO addonkit_tenant")
    assert await directory.get("site-1") is not None
