"""PostgreSQL connections: the setting with the current tenant, recovery from outages, and errors of statements."""

import asyncio
import uuid
from contextlib import contextmanager, suppress

import asyncpg
import pytest
from addonkit.database import connection as database_module
from addonkit.database import postgres_pool
from addonkit.database.errors import DatabaseUnavailable, ValueUnstorable, storage_errors
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from addonkit.database.pending import pending
from addonkit.database.sql import fetch, fetch_alone, leave_session_unchanged
from addonkit.errors import PayloadInvalid, StorageUnavailable
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.models import UsedToken
from addonkit.tenancy.record import IdentityKind
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import database_settings
from tortoise.connection import get_connection, get_connections
from tortoise.exceptions import DBConnectionError, IntegrityError, TransactionManagementError
from tortoise.transactions import atomic, in_transaction

from tests.support.restartable_postgresql import restartable
from tests.support.tenants import tenant

pytestmark = pytest.mark.postgresql

KEYS = [("test", bytes(32))]


@pytest.fixture
async def database(tmp_path):
    location = Location(**database_settings(tmp_path), pool_size=2)
    await migrate(location, {})
    async with tenant_database(location, {}) as database:
        yield database


@pytest.fixture
def restartable_server():
    """A server that the test may stop, and the location of a database on it; it is running again after the test."""
    server = restartable()
    server.start()
    name = f"kit_{uuid.uuid4().hex}"
    server.server.create(name)
    yield server, Location(server.server.url_of(name, server.server.owner), pool_size=2)
    server.start()
    server.server.drop(name)


async def tenant_setting():
    (row,) = await get_connection("default").execute_query_dict("SELECT current_setting('addonkit.tenant', true) AS t")
    return row["t"] or None


async def backend_pid():
    (row,) = await get_connection("default").execute_query_dict("SELECT pg_backend_pid() AS pid")
    return row["pid"]


async def terminate_other_backends():
    await get_connection("default").execute_query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )


@contextmanager
def outside_the_transaction():
    """Use another connection than that of the current transaction."""
    token = get_connections().set("default", get_connection("default")._parent)
    yield
    get_connections().reset(token)


async def test_connection_gets_the_tenant_setting_and_is_reset(database):
    assert await tenant_setting() is None
    with tenant_scope(tenant(7)):
        assert await tenant_setting() == "7"
        async with in_transaction():
            assert await tenant_setting() == "7"
        with tenant_scope(tenant(8)):
            assert await tenant_setting() == "8"
        assert await tenant_setting() == "7"
    assert await tenant_setting() is None


async def test_connection_setting_of_a_query_is_reset(database):
    first = await backend_pid()
    await get_connection("default").execute_query("SET statement_timeout = '1s'")
    await get_connection("default").execute_query("SELECT set_config('addonkit.tenant', '9', false)")
    (row,) = await get_connection("default").execute_query_dict("SHOW statement_timeout")
    assert (await backend_pid(), row["statement_timeout"], await tenant_setting()) == (first, "0", None)


@pytest.fixture
def resets(monkeypatch):
    """An entry for each connection that the pool resets."""
    resets = []
    real = asyncpg.Connection.reset

    async def counting(connection, *, timeout=None):
        resets.append(1)
        await real(connection, timeout=timeout)

    monkeypatch.setattr(asyncpg.Connection, "reset", counting)
    return resets


async def test_statement_that_leaves_no_trace_needs_no_reset(database, resets):
    assert await fetch_alone("SELECT digest FROM addonkit_used_token WHERE digest = ?", ["none"]) == []
    assert resets == []
    await UsedToken.exists(digest="none")
    assert resets == [1]


async def test_transaction_that_leaves_no_trace_needs_no_reset(database, resets):
    async with in_transaction():
        leave_session_unchanged()
        await fetch(NOTHING)
    assert resets == []
    async with in_transaction():
        await fetch(NOTHING)
    assert resets == [1]


async def in_a_promised_transaction_of_a_tenant():
    with tenant_scope(tenant(7)):
        async with in_transaction():
            leave_session_unchanged()
            await fetch(NOTHING)


async def in_a_promised_transaction_that_fails():
    with suppress(LookupError):
        async with in_transaction():
            leave_session_unchanged()
            await get_connection("default").execute_query("SELECT set_config('addonkit.tenant', '9', false)")
            raise LookupError


async def in_a_promised_transaction_whose_statement_fails():
    with suppress(StorageUnavailable, PayloadInvalid):
        async with in_transaction():
            leave_session_unchanged()
            await fetch("SELECT digest FROM addonkit_used_token WHERE digest = ?", ["\0"])


async def after_a_promised_transaction():
    async with in_transaction():
        leave_session_unchanged()
        await fetch(NOTHING)
    await get_connection("default").execute_query("SELECT set_config('addonkit.tenant', '9', false)")


async def in_the_scope_of_a_tenant():
    with tenant_scope(tenant(7)):
        await fetch_alone(NOTHING)


async def in_a_transaction():
    with tenant_scope(tenant(7)):
        async with in_transaction():
            await fetch_alone(NOTHING)


async def after_a_setting():
    await get_connection("default").execute_query("SELECT set_config('addonkit.tenant', '9', false)")
    await fetch_alone(NOTHING)


async def before_a_setting():
    await fetch_alone(NOTHING)
    await get_connection("default").execute_query("SELECT set_config('addonkit.tenant', '9', false)")


async def after_an_error():
    with tenant_scope(tenant(7)), suppress(StorageUnavailable, PayloadInvalid):
        await fetch_alone("SELECT digest FROM addonkit_used_token WHERE digest = ?", ["\0"])


NOTHING = "SELECT digest FROM addonkit_used_token WHERE false"
LONE_STATEMENTS = [
    in_the_scope_of_a_tenant,
    in_a_transaction,
    after_a_setting,
    before_a_setting,
    after_an_error,
    in_a_promised_transaction_of_a_tenant,
    in_a_promised_transaction_that_fails,
    in_a_promised_transaction_whose_statement_fails,
    after_a_promised_transaction,
]


@pytest.mark.parametrize("lone", LONE_STATEMENTS, ids=lambda lone: lone.__name__)
async def test_statement_that_leaves_no_trace_keeps_no_setting_of_another_task(database, lone):
    first = await backend_pid()
    await lone()
    assert (await backend_pid(), await tenant_setting()) == (first, None)


async def test_server_that_is_down_is_reported_without_the_password(tmp_path):
    location = Location(f"postgres://app:hunter2@/kit?host={tmp_path}")
    with pytest.raises(StorageUnavailable, match=r"cannot be opened.*check its server") as caught:
        async with tenant_database(location, {}):
            pass
    with pytest.raises(StorageUnavailable, match=r"cannot be read.*check the server") as pending_error:
        pending(location, {})
    with pytest.raises(StorageUnavailable, match="did not answer") as migrated:
        await migrate(location, {})
    assert "hunter2" not in f"{caught.value} {pending_error.value} {migrated.value}"


async def test_role_that_does_not_exist_is_reported_without_the_password(database, tmp_path):
    nobody = f"postgres://nobody:hunter2@{database.location.url.rpartition('@')[2]}"
    with pytest.raises(StorageUnavailable, match='role "nobody" does not exist') as caught:
        pending(Location(nobody), {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_server_restart_makes_storage_unavailable_for_a_while(restartable_server, mode):
    server, location = restartable_server
    await migrate(location, {})
    async with tenant_database(location, {}):
        await UsedToken.create(digest="before", expires_at=1)
        # With fsync off, an immediate stop could lose what a production server has on disk.
        await asyncio.to_thread(server.server.execute, "CHECKPOINT")
        await asyncio.to_thread(server.stop, mode)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await UsedToken.all().count()
            with pytest.raises(DBConnectionError):
                async with in_transaction():
                    pass
            with pytest.raises(StorageUnavailable):
                await UsedToken.bulk_create([UsedToken(digest="never", expires_at=1)])
        with pytest.raises(StorageUnavailable, match="did not answer"):
            await TenantStore(Vault(KEYS), enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, "site-1")
        await asyncio.to_thread(server.start)
        await UsedToken.create(digest="after", expires_at=1)
        assert await UsedToken.all().order_by("id").values_list("digest", flat=True) == ["before", "after"]


async def test_server_restart_rolls_back_an_open_transaction(restartable_server):
    server, location = restartable_server
    await migrate(location, {})
    async with tenant_database(location, {}):

        @atomic()
        async def work():
            await UsedToken.create(digest="lost", expires_at=1)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await UsedToken.create(digest="late", expires_at=1)

        with pytest.raises(StorageUnavailable):
            await work()
        assert await UsedToken.all().count() == 0


async def test_server_that_is_down_at_commit_stores_nothing(restartable_server):
    server, location = restartable_server
    await migrate(location, {})
    async with tenant_database(location, {}):

        @atomic()
        async def work():
            await UsedToken.create(digest="lost", expires_at=1)
            await asyncio.to_thread(server.stop)

        with pytest.raises(StorageUnavailable):
            await work()
        await asyncio.to_thread(server.start)
        assert await UsedToken.all().count() == 0


async def test_connection_that_was_terminated_is_replaced(database):
    @atomic()
    async def work():
        await UsedToken.create(digest="lost", expires_at=1)
        with outside_the_transaction():
            await terminate_other_backends()
        await UsedToken.create(digest="late", expires_at=1)

    with pytest.raises(DatabaseUnavailable):
        await work()
    assert await UsedToken.all().count() == 0


async def test_pool_that_is_exhausted_makes_storage_unavailable(database, monkeypatch):
    monkeypatch.setattr(postgres_pool, "ACQUIRE_TIMEOUT_S", 0.05)
    release, held = asyncio.Event(), [asyncio.Event(), asyncio.Event()]

    async def hold(mine):
        async with in_transaction():
            mine.set()
            await release.wait()

    holders = [asyncio.create_task(hold(one)) for one in held]
    await asyncio.gather(*(one.wait() for one in held))
    with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
        await UsedToken.all().count()
    release.set()
    await asyncio.gather(*holders)
    assert await UsedToken.all().count() == 0


async def test_statement_is_cancelled_after_its_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "COMMAND_TIMEOUT_S", 0.2)
    location = Location(**database_settings(tmp_path))
    async with tenant_database(location, {}):
        with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
            await get_connection("default").execute_query("SELECT pg_sleep(60)")
        assert await tenant_setting() is None


async def test_transaction_with_a_suppressed_error_raises_at_commit(database):
    async def swallow():
        async with in_transaction():
            await UsedToken.create(digest="a", expires_at=1)
            with pytest.raises(IntegrityError):
                await UsedToken.create(digest="a", expires_at=1)

    with pytest.raises(TransactionManagementError, match="nothing was stored"):
        await swallow()
    assert await UsedToken.all().count() == 0


async def test_transaction_survives_an_error_in_a_savepoint(database):
    async with in_transaction():
        await UsedToken.create(digest="a", expires_at=1)
        with pytest.raises(IntegrityError):
            async with in_transaction():
                await UsedToken.create(digest="a", expires_at=1)
        await UsedToken.create(digest="b", expires_at=1)
    assert await UsedToken.all().count() == 2


@pytest.mark.parametrize("value", ["a\0b", "half \ud800"])
async def test_value_with_nul_is_not_an_outage(database, value):
    with pytest.raises(ValueUnstorable) as caught:
        await UsedToken.create(digest=value, expires_at=1)
    assert not isinstance(caught.value, StorageUnavailable)
    with pytest.raises(PayloadInvalid), storage_errors():
        await UsedToken.create(digest=value, expires_at=1)


async def test_value_out_of_range_is_not_an_outage(database):
    with pytest.raises(ValueUnstorable):
        await UsedToken.get_or_none(id=2**40)


@pytest.mark.parametrize("key", ["a\0b", "half \ud800", "x" * 5000])
async def test_client_key_that_cannot_be_stored_is_unknown(database, key):
    assert await TenantStore(Vault(KEYS), enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, key) is None


async def test_wrong_usage_is_not_an_outage(database):
    with pytest.raises(Exception, match="server expects") as caught:
        await get_connection("default").execute_query("SELECT 1", [2])
    assert not isinstance(caught.value, StorageUnavailable)


async def test_pool_survives_cancelled_queries(database):
    for number in range(40):
        task = asyncio.create_task(UsedToken.create(digest=f"c{number}", expires_at=1))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len({await backend_pid() for _ in range(5)}) == 1
    async with in_transaction(), asyncio.timeout(60):
        assert await tenant_setting() is None
