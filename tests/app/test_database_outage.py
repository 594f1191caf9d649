"""Outage of the database during a handler's query: 503 with one log entry, until the database is back."""

import asyncio
import sqlite3
import uuid
from contextlib import closing

import pytest
from addonkit.testing import Site
from structlog.testing import capture_logs
from tortoise.connection import get_connection

from tests.support.careless_addon import running_careless
from tests.support.plugin_under_test import plain_log
from tests.support.restartable_postgresql import restartable
from tests.support.served import until


@pytest.fixture
def server():
    """A server that the test may stop; it runs again when the test ends."""
    server = restartable()
    server.start()
    yield server
    server.start()


@pytest.fixture
def settings(server):
    """The section ``[database]`` for a new database on that server."""
    name, there = f"kit_{uuid.uuid4().hex}", server.server
    there.create(name)
    yield {"url": there.url_of(name, there.application), "owner_url": there.url_of(name, there.owner), "pool_size": 2}
    server.start()
    there.drop(name)


async def ask(careless, query="all"):
    """Run a query as a user of a site; return the response and the warnings and errors that were logged."""
    with plain_log(), capture_logs() as logs:
        answer = await careless.wire.open(f"/notes/query?name={query}", site=careless.sites[careless.numbers[0]])
    return answer, [entry for entry in logs if entry["log_level"] in ("warning", "error")]


def assert_unavailable(answer, logs):
    assert answer.status == 503
    assert answer.header("retry-after") == "5"
    (entry,) = [line for line in logs if line["event"] != "jobs.storage_failed"]  # the queue is in the same database
    assert (entry["event"], entry["status"], entry["log_level"]) == ("request.refused", 503, "warning")
    assert entry["reason"].startswith("the database did not answer")
    assert "\n" not in entry["reason"]
    assert "exc_info" not in entry


@pytest.mark.crash
@pytest.mark.postgresql
@pytest.mark.parametrize("query", ["all", "transaction", "create"])
async def test_query_during_an_outage_responds_with_503_and_recovers(server, settings, tmp_path, query):
    async with running_careless(tmp_path, settings) as careless:
        assert (await ask(careless))[0].status == 200
        await asyncio.to_thread(server.stop)
        for _ in range(3):
            assert_unavailable(*await ask(careless, query))
        await asyncio.to_thread(server.start)
        assert (await ask(careless, query))[0].status == 200


@pytest.mark.crash
@pytest.mark.postgresql
async def test_install_during_an_outage_may_be_sent_again(server, settings, tmp_path):
    async with running_careless(tmp_path, settings) as careless:
        wire = careless.wire
        newcomer = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
        call = wire.installed(newcomer)
        await asyncio.to_thread(server.stop)
        assert (await wire.send_lifecycle("installed", *call)).status == 503
        await asyncio.to_thread(server.start)
        assert (await wire.send_lifecycle("installed", *call)).status == 204


@pytest.mark.crash
@pytest.mark.postgresql
async def test_query_during_a_restart_returns_own_rows_or_503(server, settings, tmp_path):
    async with running_careless(tmp_path, settings) as careless:
        mine, other = careless.numbers
        for number in careless.numbers:
            await careless.wire.open("/notes/query?name=create", site=careless.sites[number])
        stop = asyncio.Event()

        async def keep_asking(number, seen):
            while not stop.is_set():
                answer = await careless.wire.open("/notes/query?name=owners", site=careless.sites[number])
                seen.append(answer.json()["seen"] if answer.status == 200 else answer.status)

        responses = [(number, []) for number in (mine, other) * 3]
        asking = [asyncio.create_task(keep_asking(*one)) for one in responses]
        await until(lambda: all(seen for _, seen in responses))
        for how in ("fast", "immediate"):
            await asyncio.to_thread(server.server.execute, "CHECKPOINT")
            await asyncio.to_thread(server.stop, how)
            await asyncio.to_thread(server.start)
        stop.set()
        await asyncio.gather(*asking)
        for number, seen in responses:
            assert {str(one) for one in seen} == {f"['{number}']", "503"}


@pytest.mark.sqlite
async def test_query_on_a_locked_file_responds_with_503_and_recovers(tmp_path):
    async with running_careless(tmp_path) as careless:
        await get_connection("default").execute_query("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(tmp_path / "addonkit.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert_unavailable(*await ask(careless, "create"))
            assert (await ask(careless, "all"))[0].status == 200
            other.rollback()
        assert (await ask(careless, "create"))[0].status == 200
