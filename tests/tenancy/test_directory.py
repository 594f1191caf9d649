"""Sites in memory: what costs a query and what does not."""

import asyncio
import time
from contextvars import ContextVar

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.errors import StorageUnavailable
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind, Installation, TenantRecord, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import run_sql

from tests.support.directory_clock import DirectoryClock
from tests.support.statements import recorded_statements

CLIENT_KEY = IdentityKind.CLIENT_KEY
VAULT = Vault([("k1", b"k" * 32)])
NOW = int(time.time())


@pytest.fixture
async def store(location):
    async with tenant_database(location, {}):
        store = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)
        await install(store, "f" * 40)
        yield store


@pytest.fixture
def clock(monkeypatch):
    return DirectoryClock(monkeypatch)


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

    async def finding(*name):
        record = await find(*name)
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


async def test_cache_hit_costs_no_query(store, queries):
    directory = Directory(store)
    first = await directory.get(CLIENT_KEY, "site-1")
    queries.clear()
    assert await directory.get(CLIENT_KEY, "site-1") is first
    assert queries == []


async def test_cache_hit_does_not_suspend_the_task(store):
    directory = Directory(store)
    await directory.get(CLIENT_KEY, "site-1")
    with pytest.raises(StopIteration):
        directory.get(CLIENT_KEY, "site-1").send(None)


async def test_get_cached_gives_cached_tenants_only(store):
    directory = Directory(store)
    assert directory.get_cached(CLIENT_KEY, "site-1") is None
    record = await directory.get(CLIENT_KEY, "site-1")
    assert directory.get_cached(CLIENT_KEY, "site-1") is record


async def test_single_flight_makes_one_query_of_concurrent_reads(store, queries):
    directory = Directory(store)
    records = await asyncio.gather(*(directory.get(CLIENT_KEY, "site-1") for _ in range(20)))
    assert len(queries) == 1
    assert len({id(record) for record in records}) == 1


async def test_unknown_client_key_is_queried_a_few_times_a_second(store, queries):
    directory = Directory(store)
    for _ in range(20):
        assert await directory.get(CLIENT_KEY, "site-9") is None
    assert 1 < len(queries) <= 5


async def test_unknown_client_key_is_found_after_an_install_elsewhere(store):
    directory = Directory(store)
    assert await directory.get(CLIENT_KEY, "site-2") is None
    await install(store, "f" * 40, "site-2")
    assert await directory.get(CLIENT_KEY, "site-2") is not None


async def test_read_joined_after_an_install_is_repeated(store, gate):
    directory = Directory(store)
    before = asyncio.create_task(directory.get(CLIENT_KEY, "site-2"))
    await gate.reached.wait()
    await install(store, "f" * 40, "site-2")
    after = asyncio.create_task(directory.get(CLIENT_KEY, "site-2"))
    await asyncio.sleep(0)
    gate.set()
    assert await before is None
    assert await after is not None


async def test_reread_does_not_join_an_earlier_read(store, gate):
    directory = Directory(store)
    before = asyncio.create_task(directory.reread(CLIENT_KEY, "site-1"))
    await gate.reached.wait()
    await install(store, "s" * 40)
    after = asyncio.create_task(directory.reread(CLIENT_KEY, "site-1"))
    await asyncio.sleep(0)
    gate.set()
    assert (await before).secret == b"f" * 40
    assert (await after).secret == b"s" * 40


async def test_cache_keeps_tenants_under_a_flood_of_unknown_client_keys(store, queries):
    directory = Directory(store, max_size=4)
    await directory.get(CLIENT_KEY, "site-1")
    for number in range(20):
        await directory.get(CLIENT_KEY, f"invented-{number}")
    queries.clear()
    assert await directory.get(CLIENT_KEY, "site-1") is not None
    assert queries == []


async def test_cache_has_a_maximum_size(store, queries):
    directory = Directory(store, max_size=2)
    for number in range(2, 5):
        await install(store, "f" * 40, f"site-{number}")
        await directory.get(CLIENT_KEY, f"site-{number}")
    queries.clear()
    await directory.get(CLIENT_KEY, "site-2")
    assert len(queries) == 1


async def test_cache_entry_expires(store, queries):
    directory = Directory(store, max_age_s=0.05)
    await directory.get(CLIENT_KEY, "site-1")
    await asyncio.sleep(0.06)
    queries.clear()
    await directory.get(CLIENT_KEY, "site-1")
    assert len(queries) == 1


async def test_forget_shows_a_changed_tenant(store):
    directory = Directory(store)
    await directory.get(CLIENT_KEY, "site-1")
    await install(store, "s" * 40)
    assert (await directory.get(CLIENT_KEY, "site-1")).secret == b"f" * 40
    directory.forget("site-1")
    assert (await directory.get(CLIENT_KEY, "site-1")).secret == b"s" * 40


async def test_forget_shows_a_new_tenant(store):
    directory = Directory(store)
    assert await directory.get(CLIENT_KEY, "site-2") is None
    await install(store, "f" * 40, "site-2")
    directory.forget("site-2")
    assert await directory.get(CLIENT_KEY, "site-2") is not None


async def test_clear_makes_every_tenant_be_read_again(store, queries):
    directory = Directory(store)
    assert await directory.get(CLIENT_KEY, "site-1") is not None
    assert await directory.get(CLIENT_KEY, "site-2") is None
    directory.clear()
    queries.clear()
    assert await directory.get(CLIENT_KEY, "site-1") is not None
    assert await directory.get(CLIENT_KEY, "site-2") is None
    assert len(queries) == 2


async def test_clear_discards_the_result_of_a_running_read(store, gate):
    directory = Directory(store)
    reading = asyncio.create_task(directory.get(CLIENT_KEY, "site-1"))
    await gate.reached.wait()
    directory.clear()
    gate.set()
    await reading
    assert directory.get_cached(CLIENT_KEY, "site-1") is None


async def test_forget_discards_the_result_of_a_running_read(store, gate):
    directory = Directory(store)
    reading = asyncio.create_task(directory.get(CLIENT_KEY, "site-1"))
    await gate.reached.wait()
    directory.forget("site-1")
    gate.set()
    await reading
    assert directory.get_cached(CLIENT_KEY, "site-1") is None


async def test_reread_sees_a_secret_stored_by_another_process(store):
    directory = Directory(store)
    await directory.get(CLIENT_KEY, "site-1")
    await install(store, "s" * 40)
    assert (await directory.reread(CLIENT_KEY, "site-1")).secret == b"s" * 40
    assert directory.get_cached(CLIENT_KEY, "site-1").secret == b"s" * 40


async def test_reread_is_limited_per_client_key(store, queries):
    directory = Directory(store)
    await asyncio.gather(*(directory.reread(CLIENT_KEY, "site-1") for _ in range(20)))
    for _ in range(20):
        assert (await directory.reread(CLIENT_KEY, "site-1")) is not None
    assert len(queries) <= 4


@pytest.mark.parametrize(("after_s", "rereads"), [(0.0, 0), (0.999, 0), (1.0, 4), (60.0, 4)])
async def test_reread_is_possible_four_times_in_each_second(store, queries, clock, after_s, rereads):
    directory = Directory(store)
    for _ in range(9):
        await directory.reread(CLIENT_KEY, "site-1")
    assert len(queries) == 4
    clock.now += after_s
    for _ in range(9):
        assert (await directory.reread(CLIENT_KEY, "site-1")).tenant.key == "site-1"
    assert len(queries) == 4 + rereads


@pytest.mark.parametrize(("after_s", "known"), [(4.999, True), (5.0, False)])
async def test_unknown_name_is_remembered_for_five_seconds(store, queries, clock, after_s, known):
    directory = Directory(store)
    await directory.get(CLIENT_KEY, "site-9")
    clock.now += after_s
    queries.clear()
    for _ in range(9):
        assert await directory.get(CLIENT_KEY, "site-9") is None
    # A name that is not known to be unknown is read once more than it may be reread.
    assert len(queries) == 4 + (not known)


async def test_reread_of_one_tenant_does_not_delay_another(store, queries):
    directory = Directory(store)
    await install(store, "f" * 40, "site-2")
    queries.clear()
    await directory.reread(CLIENT_KEY, "site-1")
    await directory.reread(CLIENT_KEY, "site-2")
    assert len(queries) == 2


async def test_single_flight_survives_a_cancelled_caller(store, gate):
    directory = Directory(store)
    leaving = asyncio.create_task(directory.get(CLIENT_KEY, "site-1"))
    staying = asyncio.create_task(directory.get(CLIENT_KEY, "site-1"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    assert await staying is not None


async def test_read_that_failed_is_not_cached(store, tmp_path):
    directory = Directory(store)
    run_sql(tmp_path, "ALTER TABLE addonkit_tenant RENAME TO away")
    with pytest.raises(StorageUnavailable):
        await directory.get(CLIENT_KEY, "site-1")
    run_sql(tmp_path, "ALTER TABLE away RENAME TO addonkit_tenant")
    assert await directory.get(CLIENT_KEY, "site-1") is not None


async def test_last_known_tenant_survives_a_cleared_cache_and_a_read_that_was_overtaken(store, gate):
    directory = Directory(store)
    assert directory.last_known("site-1") is None
    reading = asyncio.create_task(directory.get(CLIENT_KEY, "site-1"))
    await gate.reached.wait()
    directory.forget("site-1")
    gate.set()
    record = await reading
    directory.clear()
    assert directory.get_cached(CLIENT_KEY, "site-1") is None
    assert directory.last_known("site-1") is record


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        ([], (0, 0)),
        (["site-1"], (0, 1)),
        (["site-1", "site-1", "site-1"], (2, 1)),
        (["nobody"], (0, 1)),
        (["site-1", "nobody", "site-1"], (1, 2)),
    ],
    ids=["none", "first", "repeated", "unknown", "mixed"],
)
async def test_lookups_are_counted_by_whether_the_tenant_is_in_memory(store, names, counts):
    directory = Directory(store)
    for name in names:
        await directory.get(CLIENT_KEY, name)
    assert (directory.hits, directory.misses) == counts


async def test_read_has_no_context_of_its_caller(store):
    """In the caller's transaction, it could see changes that are rolled back later."""
    contexts = []
    real = store.find

    async def find(*name):
        contexts.append(caller.get("nowhere"))
        return await real(*name)

    store.find = find
    caller = ContextVar("caller")
    caller.set("the request")
    directory = Directory(store)
    assert await directory.get(CLIENT_KEY, "site-1") is not None
    await directory.reread(CLIENT_KEY, "site-1")
    assert contexts == ["nowhere"] * 2


class Names:
    """A store in which a test decides which tenant has which name."""

    def __init__(self, records):
        self.records = records

    async def find(self, kind, value):
        return self.records.get((kind, value))


@pytest.mark.parametrize("kind", [IdentityKind.CLOUD, IdentityKind.INSTALLATION])
async def test_name_that_a_changed_tenant_has_lost_is_read_again(kind):
    one, other = (
        TenantRecord(Tenant(number, key, "jira", f"https://{key}.example", "", TenantState.ENABLED, key), b"s" * 32)
        for number, key in [(1, "one"), (2, "other")]
    )
    names = Names({(IdentityKind.KEY, "one"): one, (kind, "jira:c"): one})
    directory = Directory(names)
    assert await directory.get(kind, "jira:c") is one
    names.records[kind, "jira:c"] = other
    directory.forget("one")
    # By its key, it is in memory again.
    assert await directory.get(IdentityKind.KEY, "one") is one
    assert await directory.get(kind, "jira:c") is other
