"""A long-running task: restarted when it fails, logged once, and cancelled on request."""

from __future__ import annotations

import asyncio

import pytest
from addonkit import supervised_task
from addonkit.supervised_task import SupervisedTask
from structlog.testing import capture_logs


class Flaky:
    """Fails a number of times, each time with the next of some exceptions, then returns."""

    def __init__(self, *errors):
        self.errors, self.runs = list(errors), 0

    async def run(self):
        self.runs += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(supervised_task, "FIRST_PAUSE_S", 0.001)


@pytest.mark.parametrize(
    "errors",
    [
        [],
        [LookupError("once")],
        [OSError("away"), OSError("away"), OSError("away")],
        [ExceptionGroup("two", [ValueError("a"), TypeError("b")])],
        [asyncio.CancelledError()],
        [TimeoutError(), RuntimeError("another")],
    ],
    ids=["none", "one", "a row", "group", "cancelled from within", "different ones"],
)
async def test_task_is_restarted_until_it_returns_and_logged_once(errors):
    flaky = Flaky(*errors)
    with capture_logs() as logs:
        task = SupervisedTask("flaky", flaky.run)
        assert await task.wait(5)
    assert flaky.runs == len(errors) + 1
    assert not task.is_running()
    assert [line["task"] for line in logs if line["event"] == "task.failed"] == ["flaky"] * (1 if errors else 0)


async def test_task_is_cancelled_while_it_runs_and_during_a_pause(monkeypatch):
    monkeypatch.setattr(supervised_task, "FIRST_PAUSE_S", 60)

    async def endless():
        await asyncio.sleep(60)

    pausing = SupervisedTask("pausing", Flaky(OSError("away")).run)
    running = SupervisedTask("running", endless)
    await asyncio.sleep(0.01)
    assert pausing.is_running()
    for task in (pausing, running):
        await asyncio.wait_for(task.cancel(), 60)
        assert not task.is_running()
