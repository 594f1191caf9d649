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
async def test_what_another_process_writes_into_the_file_is_noticed(database):
    async with watching(database) as heard:
        began = time.monotonic()
        write_elsewhere(database)
        await until(lambda: heard.changed)
        assert time.monotonic() - began < BOUND_S
        assert heard.changed == [None]


@pytest.mark.sqlite
async def test_what_this_process_writes_is_no_news_to_it(database):
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
async def test_a_handlers_long_transaction_keeps_nobody_from_looking(database):
    async with watching(database) as heard:
        write_elsewhere(database)
        async with in_transaction("default"):
            await spend("a")
            await until(lambda: heard.changed, BOUND_S)
        assert heard.cleared == 0


@pytest.mark.sqlite
async def test_a_file_that_gives_no_answer_has_everything_forgotten(database, monkeypatch):
    async with watching(database) as heard:
        monkeypatch.setattr(type(get_connection("default")), "data_version", lambda _: asyncio.sleep(60))
        await until(lambda: heard.cleared >= 2)


@pytest.mark.sqlite
async def test_announcing_on_sqlite_asks_the_file_nothing(database):
    async with in_transaction("default"):
        await notify_change("site-1")


@pytest.mark.postgresql
async def test_a_change_is_heard_when_its_transaction_is_kept(database):
    async with watching(database) as heard:
        async with in_transaction("default"):
            await notify_change("site-1")
            await asyncio.sleep(0.1)
            assert heard.changed == []
        await until(lambda: heard.changed == ["site-1"], BOUND_S)


@pytest.mark.postgresql
async def test_a_change_that_is_undone_is_never_heard(database):
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
async def test_a_client_key_arrives_as_it_is(database, client_key):
    async with watching(database) as heard:
        await notify_change(client_key)
        await until(lambda: heard.changed == [client_key], BOUND_S)


def end_listeners():
    server().fetch(
        None, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'addonkit changes'"
    )


@pytest.mark.postgresql
async def test_a_listener_that_the_server_ends_forgets_everything_and_listens_again(database):
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
async def test_a_half_open_connection_is_noticed_and_meanwhile_everything_is_forgotten_each_second(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as heard:
        relay.stall()
        await notify_change("site-1")
        await until(lambda: heard.cleared, BOUND_S)
        await until(lambda: heard.cleared >= 3, 3 * BOUND_S)
        assert heard.changed == []
        relay.flow()
        await until(lambda: heard.changed and heard.changed[0] is None)


@pytest.mark.postgresql
async def test_a_cut_connection_is_noticed_at_once(database, relay):
    async with watching(replace(database, url=relay.url, owner_url=None)) as heard:
        relay.cut()
        await until(lambda: heard.cleared, BOUND_S)
        await until(lambda: heard.changed == [None])


@pytest.mark.postgresql
async def test_nobody_trusts_a_connection_on_which_notifications_do_not_arrive(database, monkeypatch):
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
async def test_a_server_that_is_not_there_is_tried_again_without_an_end(database):
    heard = Heard()
    location = Location("postgres://somebody:word@127.0.0.1:1/nothing")
    task = asyncio.create_task(watch_changes(location, heard.changed.append, heard.clear))
    await until(lambda: heard.cleared >= 3)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
