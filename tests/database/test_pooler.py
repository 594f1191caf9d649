"""A connection pooler in transaction mode is found by its effect, and named instead of a driver's error."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import structlog
from addonkit.app.migrate import refuse_pending, upgrade_in_subprocess
from addonkit.database.location import Location
from addonkit.database.pooler import find_pooler, pool_mode
from addonkit.database.sql import fetch
from addonkit.errors import AddonkitError, SettingsInvalid
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings

from tests.support.checks import run_local
from tests.support.pgbouncer import needs_pgbouncer, pgbouncer
from tests.support.plugin_under_test import addon_of, deployment
from tests.support.relay import Relay
from tests.support.transaction_pooler import TransactionPooler

pytestmark = pytest.mark.postgresql


@pytest.fixture
def urls(tmp_path):
    """The URLs of both roles of a database."""
    settings = database_settings(tmp_path)
    return settings["url"], settings["owner_url"]


@pytest.fixture
async def found(tmp_path, urls):
    """A deployment with a migrated database."""
    return (await addon_of(deployment(tmp_path))).deployment


def through(directory, pooler, **database):
    return deployment(directory, database={"url": pooler.url, "owner_url": None, **database})


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("choice", ["last", "first", "random"])
async def test_pooler_in_transaction_mode_is_found_whichever_session_it_chooses(urls, size, choice):
    async with TransactionPooler(urls[0], size, choice).open() as pooler:
        assert await pool_mode(pooler.url) == "transaction"


@pytest.mark.parametrize("start", [refuse_pending, upgrade_in_subprocess])
async def test_pooler_in_statement_mode_is_refused(tmp_path, urls, found, start):
    async with TransactionPooler(urls[1], mode="statement").open() as pooler:
        assert await pool_mode(pooler.url) == "statement"
        with pytest.raises(SettingsInvalid, match="leads to a connection pooler in statement mode"):
            await asyncio.to_thread(start, through(tmp_path, pooler))


async def test_pooler_gives_both_connections_the_same_session_setting(urls):
    async with TransactionPooler(urls[0]).open() as pooler:
        first, second = [await asyncpg.connect(pooler.url, statement_cache_size=0) for _ in range(2)]
        await first.execute("SET addonkit.tenant = '7'")
        async with second.transaction():
            assert await second.fetchval("SELECT current_setting('addonkit.tenant')") == "7"
        for connection in (first, second):
            connection.terminate()


async def test_direct_connection_is_not_taken_for_a_pooler(urls):
    assert [await pool_mode(url) for url in urls] == [None, None]


async def test_pooler_in_session_mode_is_accepted(urls):
    async with Relay(urls[0]).open() as relay:
        assert None is await pool_mode(relay.url)


@pytest.mark.parametrize(
    "url", ["postgres://nobody@127.0.0.1:1/none", "postgres://nobody:x@{host}/none"], ids=["refused", "unknown-role"]
)
async def test_server_that_cannot_be_reached_is_no_pooler(urls, url):
    async with Relay(urls[0]).open() as relay:
        assert None is await pool_mode(url.format(host=relay.url.rpartition("@")[2].partition("/")[0]))


async def test_pooler_is_named_with_its_setting_and_without_the_password(urls):
    async with TransactionPooler(urls[1]).open() as pooler:
        text = str(await find_pooler(Location(urls[0], pooler.url)))
    assert text.startswith("[database] owner_url 'postgres://")
    assert "leads to a connection pooler in transaction mode" in text
    assert "pool_mode = session" in text
    assert pooler.url.partition(":")[2].rpartition("@")[0].rpartition(":")[2] not in text


@needs_pgbouncer
@pytest.mark.parametrize(
    ("mode", "expected"), [("transaction", "transaction"), ("statement", "statement"), ("session", None)]
)
async def test_pgbouncer_is_found_by_its_mode(tmp_path, urls, mode, expected):
    async with pgbouncer(tmp_path, urls[0], mode) as url:
        assert await pool_mode(url) == expected


async def test_check_names_the_pooler(tmp_path, urls, found):
    async with TransactionPooler(urls[1]).open() as pooler:
        result = await run_local("database", through(tmp_path, pooler))
    assert result.state == "wrong"
    assert "leads to a connection pooler in transaction mode" in result.message


@pytest.mark.parametrize("start", [refuse_pending, upgrade_in_subprocess])
async def test_start_is_refused_where_row_level_security_would_lose_the_tenant(tmp_path, urls, found, start):
    async with TransactionPooler(urls[0]).open() as pooler:
        with pytest.raises(SettingsInvalid, match="leads to a connection pooler in transaction mode"):
            await asyncio.to_thread(start, through(tmp_path, pooler, owner_url=urls[1]))


@pytest.mark.parametrize("start", [refuse_pending, upgrade_in_subprocess])
async def test_start_without_row_level_security_logs_the_pooler_as_a_warning(tmp_path, urls, found, start):
    async with TransactionPooler(urls[1]).open() as pooler:
        with structlog.testing.capture_logs() as logs:
            await asyncio.to_thread(start, through(tmp_path, pooler))
    [entry] = [entry for entry in logs if entry["event"] == "database.transaction_pooler"]
    assert entry["log_level"] == "warning"
    assert "connection pooler in transaction mode" in entry["reason"]


async def fetch_often():
    for _ in range(30):
        await fetch("SELECT 2 AS two")


async def prepare_all(connection):
    """Prepare a statement under each name that asyncpg will choose next."""
    await connection.execute("DEALLOCATE ALL")
    # asyncpg numbers the statements of a process, so earlier tests have used many names.
    first = asyncpg.connection._uid + 1
    names = (f"__asyncpg_stmt_{number:x}__" for number in range(first, first + 999))
    await connection.execute("; ".join(f"PREPARE {name} AS SELECT 1" for name in names))


async def test_error_about_a_prepared_statement_at_the_start_names_the_pooler(tmp_path, urls, found):
    async with TransactionPooler(urls[1]).open() as pooler:
        other = await asyncpg.connect(pooler.url, statement_cache_size=0)
        await prepare_all(other)
        with pytest.raises(AddonkitError, match="a connection pooler in transaction mode is between"):
            await asyncio.to_thread(refuse_pending, through(tmp_path, pooler))
        other.terminate()


@pytest.mark.parametrize("size", [1, 2], ids=["exists-already", "does-not-exist"])
async def test_error_about_a_prepared_statement_of_an_open_database_names_the_pooler(urls, size):
    async with TransactionPooler(urls[1], size, "random").open() as pooler:
        other = await asyncpg.connect(pooler.url, statement_cache_size=0)
        async with tenant_database(Location(pooler.url, pool_size=1), {}):
            if size == 1:
                await prepare_all(other)
            with pytest.raises(AddonkitError, match="a connection pooler in transaction mode is between"):
                await fetch_often()
        other.terminate()
