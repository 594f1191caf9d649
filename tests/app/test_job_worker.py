"""``addonkit work``: its start and its shutdown."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.app import Addon
from addonkit.app.job_worker import work
from addonkit.jobs.models import JobRow
from addonkit.server.shutdown import Shutdown, ShutdownMode
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables

from tests.distributions.third_party import Terminal
from tests.support import job_plugin as working
from tests.support.job_plugin import deployment, seen


@pytest.fixture
async def addon(tmp_path):
    made = Addon(deployment(tmp_path, jobs={"in_server": False}))
    await create_tables(made.deployment.location, {})
    seen.clear()
    working.gates.clear()
    return made


async def enqueue(addon, gate):
    with addon.scope():
        row = await TenantRow.create(
            key="site",
            product="jira",
            base_url="https://x",
            display_url="https://x",
            state="enabled",
            installed_iat=1,
        )
        with tenant_scope(row.as_tenant()):
            return await working.wait.enqueue(gate=gate)


async def wait_until_seen(what):
    async with asyncio.timeout(60):
        while what not in seen:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)


def started(addon, stop_s):
    ending, ready = Shutdown(), asyncio.Event()
    return ending, ready, asyncio.create_task(work(addon, ending, stop_s, ready.set))


async def test_work_lets_running_jobs_finish(addon):
    ending, ready, task = started(addon, 5)
    await ready.wait()
    number = await enqueue(addon, "slow")
    await wait_until_seen("slow begins")
    ending.request(ShutdownMode.GRACEFUL)
    await asyncio.sleep(0.05)
    working.gates["slow"].set()
    assert await task
    async with addon.database():
        assert (await JobRow.get(id=number)).state == "done"


@pytest.mark.parametrize("again", [False, True], ids=["its time is over", "a second signal"])
async def test_work_releases_jobs_that_do_not_finish(addon, again):
    ending, ready, task = started(addon, 60 if again else 0.05)
    await ready.wait()
    number = await enqueue(addon, "never")
    await wait_until_seen("never begins")
    ending.request(ShutdownMode.GRACEFUL)
    if again:
        ending.request(ShutdownMode.GRACEFUL)
    assert not await task
    async with addon.database():
        row = await JobRow.get(id=number)
        assert (row.state, row.starts) == ("ready", 0)


@pytest.mark.sqlite
def test_work_refuses_a_sqlite_database(tmp_path, monkeypatch, capsys):
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_notes")
    assert terminal("work").sentence == (
        "[database] url names a SQLite file, whose jobs run in 'addonkit serve'; name a PostgreSQL database to run "
        "'addonkit work' as well"
    )
