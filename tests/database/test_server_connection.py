"""Connections to several PostgreSQL servers: the one that can be written is found, whatever the others do."""

import asyncio
import socket
import uuid
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import quote

import pytest
from addonkit.database import connection as connection_module
from addonkit.database.errors import DatabaseUnavailable
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from addonkit.database.pending import pending
from addonkit.database.pooler import find_pooler
from addonkit.database.postgres_errors import ServerReadOnly
from addonkit.database.server_connection import KEEPALIVE, NoServerAvailable, connect
from addonkit.database.sql import execute, execute_many, fetch, is_read_only
from addonkit.errors import StorageUnavailable
from addonkit.tenancy.models import UsedToken
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.postgresql import Server
from tortoise.transactions import in_transaction

from tests.support.postgresql_pair import postgresql_pair
from tests.support.postgresql_pair import until as until_true
from tests.support.served import until

pytestmark = pytest.mark.postgresql

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def pair():
    with postgresql_pair() as pair:
        pair.server.create("kit")
        yield pair


@asynccontextmanager
async def refusing():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


@asynccontextmanager
async def silent():
    """A machine that accepts connections and never answers, as one whose network was lost."""
    writers = []

    async def keep(_reader, writer):
        writers.append(writer)

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.close()


@asynccontextmanager
async def closing():
    async def close(_reader, writer):
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def missing_socket():
    yield quote("/nowhere/at-all", safe="")


OTHERS = {"refusing": refusing, "silent": silent, "closing": closing, "socket": missing_socket}


async def port_of(connection):
    return await connection.fetchval("SELECT inet_server_port()")


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("position", ["first", "last"])
async def test_connection_is_made_beside_a_server_that_cannot_be_used(pair, other, position):
    async with OTHERS[other]() as address:
        hosts = [address, f"127.0.0.1:{pair.primary.port}"]
        if position == "last":
            hosts.reverse()
        connection = await connect(f"postgres://postgres@{','.join(hosts)}/kit", timeout=TIMEOUT_S)
        try:
            assert await port_of(connection) == pair.primary.port
        finally:
            await connection.close()


FORMS = {
    "netloc": "postgres://postgres@127.0.0.1:{standby},127.0.0.1:{primary}/kit",
    "read-write": "postgres://postgres@127.0.0.1:{standby},127.0.0.1:{primary}/kit?target_session_attrs=read-write",
    "primary": "postgresql://postgres@127.0.0.1:{standby},127.0.0.1:{primary}/kit?target_session_attrs=primary",
    "host-and-port": "postgres://postgres@/kit?host=127.0.0.1,127.0.0.1&port={standby},{primary}",
    "sockets": "postgres://postgres@/kit?host={standby_folder},{primary_folder}&port={standby},{primary}",
    "socket-and-name": "postgres://postgres@[::1]:{standby},127.0.0.1:{standby},localhost:{primary}/kit",
}


@pytest.mark.parametrize("form", FORMS)
async def test_connection_goes_to_the_primary_although_the_standby_is_named_first(pair, form):
    url = FORMS[form].format(
        standby=pair.standby.port,
        primary=pair.primary.port,
        standby_folder=pair.standby.data,
        primary_folder=pair.primary.data,
    )
    connection = await connect(url, timeout=TIMEOUT_S)
    try:
        assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()


async def test_connection_to_no_writable_server_is_refused_with_the_reason_of_each(pair):
    async with refusing() as address:
        url = f"postgres://postgres:hunter2@{address},127.0.0.1:{pair.standby.port}/kit"
        with pytest.raises(NoServerAvailable) as caught:
            await connect(url, timeout=TIMEOUT_S)
    assert f"{address}: ConnectionRefusedError" in str(caught.value)
    assert f"127.0.0.1:{pair.standby.port}: accepts no writes" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_connection_that_no_server_answers_ends_and_names_all():
    async with silent() as one, silent() as two:
        with pytest.raises(TimeoutError, match=f"no connection to {one},{two} within"):
            await connect(f"postgres://postgres@{one},{two}/kit", timeout=1.0)


async def test_connection_of_an_unknown_role_is_refused_by_the_server_itself(pair):
    async with refusing() as address:
        url = f"postgres://nobody:x@{address},127.0.0.1:{pair.primary.port}/kit"
        with pytest.raises(Exception, match='role "nobody" does not exist'):
            await connect(url, timeout=TIMEOUT_S)


async def test_connection_fails_soon_after_the_loss_of_the_machine(pair):
    connection = await connect(pair.settings("kit")["url"], timeout=TIMEOUT_S)
    try:
        handle = connection._transport.get_extra_info("socket")
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        known = {name: value for name, value in KEEPALIVE.items() if hasattr(socket, name)}
        assert {name: handle.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in known} == known
    finally:
        await connection.close()


async def test_database_with_the_standby_first_is_migrated_and_used(pair):
    pair.server.create("standby_first")
    location = Location(**pair.settings("standby_first", pair.standby, pair.primary))
    await migrate(location, {})
    assert await asyncio.to_thread(pending, location, {}) == []
    assert await find_pooler(location) is None
    async with tenant_database(location, {}):
        assert not await is_read_only()
        assert await execute("DELETE FROM addonkit_job") == 0


async def test_database_that_is_a_standby_only_names_both_servers(pair):
    async with refusing() as address:
        hosts = f"{address},127.0.0.1:{pair.standby.port}"
        location = Location(f"postgres://{pair.server.owner}:hunter2@{hosts}/kit")
        with pytest.raises(StorageUnavailable) as caught:
            async with tenant_database(location, {}):
                pass
    assert hosts in str(caught.value)
    assert "accepts no writes" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@contextmanager
def demoted(server: Server):
    """Make a server read-only while its connections stay open."""
    configure(server, "SET default_transaction_read_only = on", "on")
    try:
        yield
    finally:
        configure(server, "RESET default_transaction_read_only", "off")


def configure(server: Server, change: str, value: str):
    """Change the server's configuration, and wait until new connections have it."""
    server.execute(f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")
    until_true(lambda: server.fetch(None, "SHOW default_transaction_read_only") == [(value,)], "not configured")


async def backend():
    [row] = await fetch("SELECT pg_backend_pid() AS pid")
    return row["pid"]


async def in_a_statement():
    await execute("DELETE FROM addonkit_job")


async def in_a_transaction():
    async with in_transaction():
        await execute("DELETE FROM addonkit_job")


async def in_a_savepoint():
    async with in_transaction(), in_transaction():
        await execute("DELETE FROM addonkit_job")


async def in_many_statements():
    async with in_transaction():
        await execute_many("DELETE FROM addonkit_job WHERE id = ?", [[1], [2]])


async def in_the_orm():
    await UsedToken.all().delete()


WRITES = [in_a_statement, in_a_transaction, in_a_savepoint, in_many_statements, in_the_orm]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_write_to_a_demoted_server_is_an_outage_and_its_connection_is_replaced(pair, write):
    location = Location(pair.settings("kit", pair.primary)["owner_url"], pool_size=1)
    await migrate(location, {})
    async with tenant_database(location, {}):
        before = await backend()
        with demoted(pair.server):
            await reloaded(read_only=True)
            with pytest.raises(ServerReadOnly, match="accepts no writes"):
                await write()
            assert await backend() != before
        await reloaded(read_only=False)
        await write()


async def reloaded(*, read_only):
    """Wait until the connection has read the server's new configuration."""

    async def has_read():
        [row] = await fetch("SELECT current_setting('default_transaction_read_only')::bool AS value")
        return row["value"] is read_only

    await until(has_read, TIMEOUT_S)


async def test_readiness_of_a_demoted_server_replaces_its_connections(pair):
    location = Location(pair.settings("kit", pair.primary)["owner_url"], pool_size=1)
    async with tenant_database(location, {}):
        before = await backend()
        with demoted(pair.server):
            await reloaded(read_only=True)
            assert await is_read_only()
            assert await backend() != before


async def test_commit_that_the_standby_has_not_confirmed_is_an_outage(pair, monkeypatch):
    monkeypatch.setattr(connection_module, "COMMAND_TIMEOUT_S", 1.0)
    location = Location(pair.settings("kit")["owner_url"], pool_size=1)
    await migrate(location, {})
    async with tenant_database(location, {}):
        with pair.standby.paused(), pytest.raises(DatabaseUnavailable):
            await store_token()
        await store_token()


async def store_token():
    async with in_transaction():
        await UsedToken.create(digest=uuid.uuid4().hex, expires_at=0)
