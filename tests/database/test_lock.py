"""Locks between processes: one migrates at a time, and transactions wait for each other."""

import asyncio
import errno
import fcntl
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
from addonkit.database import lock as lock_module
from addonkit.database.lock import migration_lock, serving_lock
from addonkit.database.migrate import migrate
from addonkit.database.pending import pending
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.testing.databases import database_variables, run_sql

from tests.support.plugin_package import RUNTIME_MIGRATIONS, only_migrations

PROGRAM = """
import asyncio, os
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
table = {key.rpartition("__")[2].lower(): value for key, value in os.environ.items() if "_DATABASE__" in key}
LOCATION = Location(**table)
"""


MIGRATING = PROGRAM + 'print(",".join(asyncio.run(migrate(LOCATION, {}))))'


def run_in_parallel(program, place, names):
    """Run a program once for each name, all at the same time; return exit code, output and errors of each."""
    variables = {**os.environ, **database_variables(place)}
    commands = [[sys.executable, "-c", program, name] for name in names]
    started = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=variables) for command in commands]
    answers = [process.communicate(timeout=60) for process in started]
    return [(process.returncode, out.strip(), err) for process, (out, err) in zip(started, answers, strict=True)]


async def test_migration_lock_lets_one_of_four_processes_migrate(tmp_path):
    answers = await asyncio.to_thread(run_in_parallel, MIGRATING, tmp_path, "abcd")
    assert [(status, errors) for status, _, errors in answers] == [(0, "")] * 4
    *idle, busy = sorted(out.split(",") for _, out, _ in answers)
    assert idle == [[""]] * 3
    assert only_migrations(busy) == RUNTIME_MIGRATIONS


WRITER = (
    PROGRAM
    + """
import sys
from addonkit.database.connection import Database
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenancy.models import UsedToken
from tortoise.transactions import in_transaction

async def main():
    async with tenant_database(LOCATION, {}):
        for number in range(100):
            async with in_transaction():
                count = await UsedToken.all().count()
                await UsedToken.create(digest=f"{sys.argv[1]}.{number}", expires_at=count)

asyncio.run(main())
"""
)


@pytest.mark.sqlite
async def test_transactions_of_two_processes_wait_for_each_other(location, tmp_path):
    await migrate(location, {})
    assert await asyncio.to_thread(run_in_parallel, WRITER, tmp_path, "ab") == [(0, "", "")] * 2
    seen = {number for (number,) in run_sql(tmp_path, "SELECT expires_at FROM addonkit_used_token")}
    assert seen == set(range(200))


KILLED = (
    PROGRAM
    + """
import signal
asyncio.run(migrate(LOCATION, {}, lambda step: os.kill(os.getpid(), signal.SIGKILL)))
"""
)


async def test_migration_of_a_killed_process_is_rolled_back_and_its_lock_released(location, tmp_path):
    assert await asyncio.to_thread(run_in_parallel, KILLED, tmp_path, "a") == [(-9, "", "")]
    assert pending(location, {}) == RUNTIME_MIGRATIONS
    assert only_migrations(await migrate(location, {})) == RUNTIME_MIGRATIONS
    assert pending(location, {}) == []


HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def lock_held_elsewhere(database):
    """Another process holds the lock of an SQLite file until the block ends or the yielded process dies."""
    command = [sys.executable, "-c", HOLDER, f"{database}.lock"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


@pytest.mark.sqlite
async def test_migration_lock_held_by_another_process_is_waited_for(location, monkeypatch):
    with lock_held_elsewhere(location.path) as holder:
        attempts, try_lock = [], lock_module._try_lock

        def attempt(*where):
            attempts.append(try_lock(*where))
            if len(attempts) == 3:
                holder.kill()
                holder.wait()
            return attempts[-1]

        monkeypatch.setattr(lock_module, "_try_lock", attempt)
        assert only_migrations(await migrate(location, {})) == RUNTIME_MIGRATIONS
    assert attempts[:3] == [False] * 3
    assert attempts[-1] is True


@pytest.mark.sqlite
async def test_migration_lock_is_refused_after_its_timeout(location):
    refused = pytest.raises(StorageUnavailable, match=r"another process held the lock '.*' for 0 s; wait for its")
    with lock_held_elsewhere(location.path), refused:
        async with migration_lock(location.path, 0.01):
            pytest.fail("two processes hold the lock")
    async with migration_lock(location.path, 5):
        pass


@pytest.mark.sqlite
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO], ids=str)
async def test_file_system_without_locks_is_refused_with_the_remedy(tmp_path, monkeypatch, code):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    database = tmp_path / "addonkit.db"
    reason = f"beside '{database}': {os.strerror(code)}; SQLite is safe on a local disk only"
    with pytest.raises(SettingsInvalid, match=re.escape(reason)), serving_lock(database):
        pass
    with pytest.raises(SettingsInvalid, match=re.escape(reason)):
        async with migration_lock(database, 5):
            pass
