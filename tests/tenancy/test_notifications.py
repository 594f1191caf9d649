"""Changes by other processes: received with LISTEN/NOTIFY on PostgreSQL, and by polling an SQLite file."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace

import asyncpg
import pytest
from addonkit.database.location import Location
from addonkit.tenancy import notifications
from addonkit.tenancy.notifications import notify_change, watch_changes
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import server
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from tests.support.relay import Relay
from tests.support.served import until

BOUND_S = 2.0


@dataclass
class Received:
    """The calls of a watcher's callbacks."""

    changed: list[str | None] = field(default_factory=list)
    cleared: int = 0

    def clear(self):
        self.cleared += 1


@asynccontextmanager
async def watching(location):
    """Run a watcher that is connected, and give the calls of its callbacks."""
    received = Received()
    task = asyncio.create_task(watch_changes(location, received.changed.append, received.clear))
    try:
        await until(lambda: received.changed == [None])
        received.changed.clear()
        yield received
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def database(location):
    async with tenant_database(location, {}):
        yield location


def write_elsewhere(location):
    with closing(sqlite3.connect(location.path)) as connection, connection:
        connection.execute("UPDATE addonkit_tenant SET note = 'x'")
        connection.execute("INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('d', 1)")


async def record_used_token(digest):
    await get_connection("default").execute_query(
        f"INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('{digest}', 1)"
    )


@pytest.mark.sqlite
async def test_sqlite_poll_notices_writes_of_another_process(database):
    async with watching(database) as received:
        began = time.monotonic()
        write_elsewhere(database)
        await until(lambda: received.changed)
        assert time.monotonic() - began < BOUND_S
        assert received.changed == [None]


@pytest.mark.sqlite
async def test_sqlite_poll_ignores_own_writes(database):
    async with watching(database) as received:
        await record_used_token("a")
        write_elsewhere(database)
        await until(lambda: received.changed)
        received.changed.clear()
        await record_used_token("b")
        async with in_transaction("default"):
            await record_used_token("c")
        await asyncio.sleep(1.0)
        assert (received.changed, received.cleared) == ([], 0)


@pytest.mark.sqlite
async def test_sqlite_poll_does_not_wait_for_a_long_transaction(database):
    async with watching(database) as received:
        write_elsewhere(database)
        async with in_transaction("default"):
            await record_used_token("a")
            await until(lambda: received.changed, BOUND_S)
        assert received.cleared == 0


@pytest.mark.sqlite
async def test_sqlite_poll_without_an_answer_drops_everything(database, monkeypatch):
    async with watching(database) as received:
        monkeypatch.setattr(type(get_connection("default")), "data_version", lambda _: asyncio.sleep(60))
        await until(lambda: received.cleared >= 2)


@pytest.mark.sqlite
async def test_notify_change_runs_no_statement_on_sqlite(database):
    async with in_transaction("default"):
        await notify_change("site-1")


@pytest.mark.postgresql
async def test_notification_arrives_when_its_transaction_commits(database):
    async with watching(database) as received:
        async with in_transaction("default"):
            await notify_change("site-1")
            await asyncio.sleep(0.1)
            assert received.changed == []
        await until(lambda: received.changed == ["site-1"], BOUND_S)


@pytest.mark.postgresql
async def test_notification_of_a_rolled_back_change_never_arrives(database):
    async with watching(database) as received:
        with suppress(LookupError):
            async with in_transaction("default"):
                await notify_change("site-1")
                raise LookupError
        async with in_transaction("default"):
            await notify_change("site-2")
        await until(lambda: received.changed)
        assert received.changed == ["site-2"]


@pytest.mark.postgresql
@pytest.mark.parametrize("client_key", ['it\'s "quoted"', "x" * 255, "Größe 日本"])
async def test_notification_has_the_exact_client_key(database, client_key):
    async with watching(database) as received:
        await notify_change(client_key)
        await until(lambda: received.changed == [client_key], BOUND_S)


def terminate_listeners():
    server().fetch(
        None, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'addonkit changes'"
    )


@pytest.mark.postgresql
async def test_listener_reconnects_and_drops_everything_when_the_server_ends_it(database):
    async with watching(database) as received:
        await asyncio.to_thread(terminate_listeners)
        await until(lambda: received.cleared, BOUND_S)
        await until(lambda: received.changed == [None])
        await notify_change("site-1")
        await until(lambda: received.changed == [None, "site-1"], BOUND_S)


@pytest.fixture
async def relay(database):
    async with Relay(database.url).open() as relay:
        yield relay


@pytest.mark.postgresql
async def test_listener_detects_a_half_open_connection_and_drops_everything_meanwhile(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as received:
        relay.stall()
        await notify_change("site-1")
        await until(lambda: received.cleared, BOUND_S)
        await until(lambda: received.cleared >= 3, 3 * BOUND_S)
        assert received.changed == []
        relay.flow()
        await until(lambda: received.changed and received.changed[0] is None)


@pytest.mark.postgresql
async def test_listener_detects_a_closed_connection_at_once(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as received:
        relay.cut()
        await until(lambda: received.cleared, BOUND_S)
        await until(lambda: received.changed == [None])


@pytest.mark.postgresql
async def test_listener_rejects_a_connection_without_notifications(database, monkeypatch):
    async def ignore(*_):
        return None

    monkeypatch.setattr(asyncpg.Connection, "add_listener", ignore)
    received = Received()
    task = asyncio.create_task(watch_changes(database, received.changed.append, received.clear))
    await until(lambda: received.cleared >= 3)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert received.changed == []


@pytest.mark.postgresql
async def test_listener_retries_with_backoff_while_the_server_is_down(database, monkeypatch):
    received = Received()
    location = Location("postgres://somebody:word@127.0.0.1:1/nothing")
    pauses = []
    monkeypatch.setattr(notifications, "backoff_s", lambda failures, **_: pauses.append(failures) or 0.01)
    task = asyncio.create_task(watch_changes(location, received.changed.append, received.clear))
    await until(lambda: received.cleared >= 3 and len(pauses) >= 4)
    assert not task.done()
    assert pauses[:4] == [1, 2, 3, 4]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.postgresql
async def test_listener_drops_everything_before_it_is_connected(database, monkeypatch):
    """Whatever was cached before is not known to be up to date."""
    received, connecting = Received(), asyncio.Event()

    async def hang(*_, **__):
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncpg, "connect", hang)
    monkeypatch.setattr(notifications, "CONNECT_TIMEOUT_S", 3600.0)
    task = asyncio.create_task(watch_changes(database, received.changed.append, received.clear))
    await connecting.wait()
    await until(lambda: received.cleared >= 1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
