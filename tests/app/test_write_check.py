"""Readiness with a database that cannot be written, or is only busy, on real databases."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing

import asyncpg
import pytest
import structlog
from addonkit.app import readiness
from addonkit.app.migrate import upgrade
from addonkit.app.readiness import REASONS, WriteCheck, readiness_checks
from addonkit.database import CONNECTION, write_check
from addonkit.database.sql import execute, fetch
from addonkit.edge.readiness import Readiness
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings
from tortoise.transactions import in_transaction

from tests.support.plugin_under_test import deployment

OTHER_USER = 65534
AS_OTHER_USER = """
import os, sys
from pathlib import Path
from addonkit.database.write_check import _problem_on_sqlite
os.setgid({user}); os.setuid({user})
print(_problem_on_sqlite(Path(sys.argv[1]), None))
"""


@asynccontextmanager
async def checked(tmp_path, settings=None):
    """An open database, new and migrated without settings, with the deployment and its readiness."""
    found = deployment(tmp_path, database=settings or database_settings(tmp_path))
    if settings is None:
        await upgrade(found)
    async with tenant_database(found.location, {}):
        yield found, Readiness(readiness_checks(found, lambda: True), life_s=0.0, reasons=REASONS)


@asynccontextmanager
async def as_owner(found):
    connection = await asyncpg.connect(found.location.owner_url)
    try:
        yield connection
    finally:
        await connection.close()


def application_of(found):
    return found.location.url.partition("://")[2].partition(":")[0].partition("@")[0]


async def test_write_check_leaves_nothing_behind(tmp_path):
    async with checked(tmp_path) as (_, ready):
        assert (await ready.results())["database"] == "ok"
        assert await fetch("SELECT id FROM addonkit_job") == []
        assert await fetch("SELECT plugin FROM addonkit_job_count WHERE dead <> 0") == []


async def test_write_check_runs_once_in_fifteen_seconds_while_it_succeeds(tmp_path, monkeypatch):
    asked, now, answers = [], [100.0], [None, None, "full", "full", None, None]

    async def counted(_):
        asked.append(now[0])
        return answers.pop(0)

    monkeypatch.setattr(readiness, "write_problem", counted)
    async with checked(tmp_path) as (found, _):
        location = found.location
        check = WriteCheck(None if location.is_postgres else location.path, clock=lambda: now[0])
        words = []
        for seconds in (0, 1, 14.9, 15, 29, 30, 31, 32, 33):
            now[0] = 100.0 + seconds
            words.append(await check())
    assert asked == [100, 115, 130, 131, 132]
    assert words == ["ok"] * 5 + ["full"] * 2 + ["ok"] * 2


PROBLEMS_OF_SERVERS = {
    "read-only database": ("ALTER DATABASE {database} SET default_transaction_read_only = on", "read-only"),
    "read-only role": ("ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on", "read-only"),
    "revoked INSERT": ("REVOKE INSERT ON addonkit_job FROM {role}", "denied"),
    "revoked sequence": ("REVOKE USAGE, SELECT, UPDATE ON SEQUENCE addonkit_job_id_seq FROM {role}", "denied"),
    "revoked numbers of jobs": ("REVOKE INSERT ON addonkit_job_delta FROM {role}", "denied"),
    "missing table": ("ALTER TABLE addonkit_job RENAME TO elsewhere", "incomplete"),
    "missing table of a trigger": ("ALTER TABLE addonkit_job_delta RENAME TO elsewhere", "incomplete"),
    "missing column": ("ALTER TABLE addonkit_job RENAME COLUMN deaths TO passings", "incomplete"),
}


@pytest.mark.postgresql
@pytest.mark.parametrize(("statement", "word"), PROBLEMS_OF_SERVERS.values(), ids=PROBLEMS_OF_SERVERS)
async def test_server_that_cannot_be_written_is_named_in_one_word(tmp_path, statement, word):
    from addonkit.testing import databases

    settings = database_settings(tmp_path)
    found = deployment(tmp_path, database=settings)
    await upgrade(found)
    async with as_owner(found) as owner:
        names = {"database": await owner.fetchval("SELECT current_database()"), "role": application_of(found)}
        if "{database}" in statement:
            databases.server().execute(statement.format(**names))
        else:
            await owner.execute(statement.format(**names))
    async with checked(tmp_path, settings) as (_, ready):
        with structlog.testing.capture_logs() as logs:
            assert (await ready.results())["database"] == word
    if "{database}" in statement and "ROLE" in statement:
        databases.server().execute(f"ALTER ROLE {names['role']} IN DATABASE {names['database']} RESET ALL")
    assert logs[-1]["reasons"] == {"database": REASONS[word]}


@pytest.mark.postgresql
async def test_locked_table_on_a_server_is_busy_and_ready(tmp_path):
    async with checked(tmp_path) as (found, ready), as_owner(found) as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("LOCK TABLE addonkit_job IN SHARE MODE")  # as while an index is built
        assert (await ready.results())["database"] == "ok"
        await transaction.rollback()


@pytest.mark.sqlite
async def test_full_file_is_not_ready_until_it_may_grow(tmp_path):
    async with checked(tmp_path) as (_, ready):
        await execute(f"PRAGMA max_page_count = {(await fetch('PRAGMA page_count'))[0]['page_count']}")
        with structlog.testing.capture_logs() as logs:
            assert (await ready.results())["database"] == "full"
        assert logs[-1]["reasons"] == {"database": REASONS["full"]}
        await execute("PRAGMA max_page_count = 1000000")
        assert (await ready.results())["database"] == "ok"


@pytest.mark.sqlite
async def test_full_disk_is_not_ready(tmp_path, monkeypatch):
    # A limit of this process for the size of files fails as a full disk does.
    monkeypatch.setattr(write_check, "FREE_BYTES", 1 << 62)
    async with checked(tmp_path) as (_, ready):
        assert (await ready.results())["database"] == "full"


PROBLEMS_OF_FILES = {
    "missing table": ("ALTER TABLE addonkit_job RENAME TO elsewhere", "incomplete"),
    "missing table of a trigger": ("ALTER TABLE addonkit_job_count RENAME TO elsewhere", "ok"),  # SQLite follows it
    "dropped table of a trigger": ("DROP TABLE addonkit_job_count", "incomplete"),
    "missing column": ("ALTER TABLE addonkit_job RENAME COLUMN deaths TO passings", "incomplete"),
    "missing list of migrations": ("ALTER TABLE tortoise_migrations RENAME TO elsewhere", "unavailable"),
}


@pytest.mark.sqlite
@pytest.mark.parametrize(("statement", "word"), PROBLEMS_OF_FILES.values(), ids=PROBLEMS_OF_FILES)
async def test_file_that_cannot_be_written_is_named_in_one_word(tmp_path, statement, word):
    async with checked(tmp_path) as (found, ready):
        with closing(sqlite3.connect(found.location.path)) as connection:
            connection.execute(statement)
            connection.commit()
        assert (await ready.results())["database"] == word


@pytest.mark.sqlite
@pytest.mark.parametrize("whose", ["file", "folder"])
async def test_read_only_file_or_folder_is_read_only(tmp_path, whose):
    async with checked(tmp_path) as (found, _):
        file = found.location.path
    command = [sys.executable, "-c", AS_OTHER_USER.format(user=OTHER_USER), str(file)]
    if os.geteuid() != 0:
        command[2] = AS_OTHER_USER.replace("os.setgid({user}); os.setuid({user})", "")
        file.chmod(0o400) if whose == "file" else tmp_path.chmod(0o500)
    else:
        file.chmod(0o644 if whose == "file" else 0o666)
        tmp_path.chmod(0o777 if whose == "file" else 0o755)
        for parent in list(tmp_path.parents)[:3]:
            parent.chmod(parent.stat().st_mode | 0o055)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.stdout == "read-only\n", done.stderr


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["another process", "this process"])
async def test_busy_file_is_ready_at_once(tmp_path, who):
    async with checked(tmp_path) as (found, ready):
        if who == "this process":
            begun = asyncio.Event()
            probe = asyncio.create_task(probed(ready, begun))  # a task that is not in the transaction
            async with in_transaction(CONNECTION):
                await execute("UPDATE addonkit_schedule SET next_at = 0")
                begun.set()
                results = await probe
        else:
            with closing(sqlite3.connect(found.location.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                results = await ready.results()
                other.execute("ROLLBACK")
    assert results == {"database": "ok", "migrations": "ok", "engine": "ok"}


async def probed(ready, begun):
    await begun.wait()
    return await ready.results()
