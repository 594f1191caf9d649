"""How a process hears of what others have changed: by notification, or by looking at the file."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace

import asyncpg
import pytest
from addonkit.database.location import Location
from addonkit.tenancy.notifications import notify_change, watch_changes
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import server
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from tests.support.relay import Relay
from tests.support.served import until

BOUND_S = 2.0


@dataclass
class Heard:
    """What a watcher has told."""

    changed: list[str | None] = field(default_factory=list)
    cleared: int = 0

    def clear(self):
        self.cleared += 1


@asynccontextmanager
async def watching(location):
    """A watcher that has begun to hear."""
    heard = Heard()
    task = asyncio.create_task(watch_changes(location, heard.changed.append, heard.clear))
    try:
        await until(lambda: heard.changed == [None])
        heard.changed.clear()
        yield heard
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


async def spend(digest):
    await get_connection("default").execute_query(
        f"INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('{digest}', 1)"
    )


@pytest.mark.sqlite
async def test_sqlite_poll_notices_writes_of_another_process(database):
    async with watching(database) as heard:
        began = time.monotonic()
        write_elsewhere(database)
        await until(lambda: heard.changed)
        assert time.monotonic() - began < BOUND_S
        assert heard.changed == [None]


@pytest.mark.sqlite
async def test_sqlite_poll_ignores_own_writes(database):
    async with watching(database) as heard:
        await spend("a")
        write_elsewhere(database)
        await until(lambda: heard.changed)
        heard.changed.clear()
        await spend("b")
        async with in_transaction("default"):
            await spend("c")
        await asyncio.sleep(1.0)
        assert (heard.changed, heard.cleared) == ([], 0)


@pytest.mark.sqlite
async def test_sqlite_poll_does_not_wait_for_a_long_transaction(database):
    async with watching(database) as heard:
        write_elsewhere(database)
        async with in_transaction("default"):
            await spend("a")
            await until(lambda: heard.changed, BOUND_S)
        assert heard.cleared == 0


@pytest.mark.sqlite
async def test_sqlite_poll_without_an_answer_drops_everything(database, monkeypatch):
    async with watching(database) as heard:
        monkeypatch.setattr(type(get_connection("default")), "data_version", lambda _: asyncio.sleep(60))
        await until(lambda: heard.cleared >= 2)


@pytest.mark.sqlite
async def test_notify_change_runs_no_statement_on_sqlite(database):
    async with in_transaction("default"):
        await notify_change("site-1")


@pytest.mark.postgresql
async def test_notification_arrives_when_its_transaction_commits(database):
    async with watching(database) as heard:
        async with in_transaction("default"):
            await notify_change("site-1")
            await asyncio.sleep(0.1)
            assert heard.changed == []
        await until(lambda: heard.changed == ["site-1"], BOUND_S)


@pytest.mark.postgresql
async def test_notification_of_a_rolled_back_change_never_arrives(database):
    async with watching(database) as heard:
        with suppress(LookupError):
            async with in_transaction("default"):
                await notify_change("site-1")
                raise LookupError
        async with in_transaction("default"):
            await notify_change("site-2")
        await until(lambda: heard.changed)
        assert heard.changed == ["site-2"]


@pytest.mark.postgresql
@pytest.mark.parametrize("client_key", ['it\'s "quoted"', "x" * 255, "Größe 日本"])
async def test_notification_has_the_exact_client_key(database, client_key):
    async with watching(database) as heard:
        await notify_change(client_key)
        await until(lambda: heard.changed == [client_key], BOUND_S)


def end_listeners():
    server().fetch(
        None, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'addonkit changes'"
    )


@pytest.mark.postgresql
async def test_listener_reconnects_and_drops_everything_when_the_server_ends_it(database):
    async with watching(database) as heard:
        await asyncio.to_thread(end_listeners)
        await until(lambda: heard.cleared, BOUND_S)
        await until(lambda: heard.changed == [None])
        await notify_change("site-1")
        await until(lambda: heard.changed == [None, "site-1"], BOUND_S)


@pytest.fixture
async def relay(database):
    async with Relay(database.url).open() as relay:
        yield relay


@pytest.mark.postgresql
async def test_listener_detects_a_half_open_connection_and_drops_everything_meanwhile(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as heard:
        relay.stall()
        await notify_change("site-1")
        await until(lambda: heard.cleared, BOUND_S)
        await until(lambda: heard.cleared >= 3, 3 * BOUND_S)
        assert heard.changed == []
        relay.flow()
        await until(lambda: heard.changed and heard.changed[0] is None)


@pytest.mark.postgresql
async def test_listener_detects_a_closed_connection_at_once(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as heard:
        relay.cut()
        await until(lambda: heard.cleared, BOUND_S)
        await until(lambda: heard.changed == [None])


@pytest.mark.postgresql
async def test_listener_rejects_a_connection_without_notifications(database, monkeypatch):
    async def deaf(*_):
        return None

    monkeypatch.setattr(asyncpg.Connection, "add_listener", deaf)
    heard = Heard()
    task = asyncio.create_task(watch_changes(database, heard.changed.append, heard.clear))
    await until(lambda: heard.cleared >= 3)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert heard.changed == []


@pytest.mark.postgresql
async def test_listener_retries_with_backoff_while_the_server_is_down(database):
    heard = Heard()
    location = Location("postgres://somebody:word@127.0.0.1:1/nothing")
    task = asyncio.create_task(watch_changes(location, heard.changed.append, heard.clear))
    await until(lambda: heard.cleared >= 3)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
