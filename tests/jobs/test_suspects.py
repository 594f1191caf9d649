"""The runner of suspect jobs."""

import asyncio
from types import SimpleNamespace

import pytest
from addonkit.errors import StorageUnavailable
from addonkit.jobs import suspects
from addonkit.jobs.suspects import SuspectRunner


@pytest.mark.parametrize("outage", [False, True], ids=["no suspects", "no database"])
async def test_runner_without_suspects_pauses_between_two_searches(monkeypatch, outage):
    searches, pauses = [], []

    async def search():
        searches.append(1)
        if outage:
            raise StorageUnavailable("the database did not answer")
        return False

    async def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            runner._stopping = True

    monkeypatch.setattr(suspects, "has_suspects", search)
    monkeypatch.setattr(suspects.asyncio, "sleep", pause)
    prepared = asyncio.Event()
    prepared.set()
    runner = SuspectRunner(SimpleNamespace(name="worker", prepared=prepared), None, {})
    async with asyncio.timeout(10):
        await runner.run()
    assert (len(searches), pauses) == (3, [suspects.POLL_S] * 3)
