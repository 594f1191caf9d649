"""The runner of suspect jobs: pauses, the names of its children, and their end."""

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


class Child:
    """A child process: it ends with this code when it is asked to, or with -9 when it is killed."""

    def __init__(self, code=0, ends=True):
        self._code, self._ends, self._ended = code, ends, asyncio.Event()
        self.returncode, self.signals = None, []

    def end(self, code):
        if self.returncode is None:
            self.returncode = code
        self._ended.set()

    def terminate(self):
        self.signals.append("terminate")
        if self._ends:
            self.end(self._code)

    def kill(self):
        self.signals.append("kill")
        self.end(-9)

    async def wait(self):
        await self._ended.wait()
        return self.returncode


def runner_with(monkeypatch, *children, lost=0, worker="worker"):
    """A runner whose children are these, and which finds so many lost jobs after each."""
    left, names = list(children), []

    async def start(*command, **_):
        names.append(command[-1])
        return left.pop(0)

    async def yes():
        return True

    async def release(name, *, died):
        assert name == names[-1]
        released.append(died)
        return lost

    released = []
    monkeypatch.setattr(suspects.asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(suspects, "has_suspects", yes)
    monkeypatch.setattr(suspects, "release_worker", release)
    return SuspectRunner(SimpleNamespace(name=worker), ["addonkit"], {}), names, released


@pytest.mark.parametrize(
    ("code", "lost", "finished"),
    [(0, 0, True), (0, 1, False), (1, 0, False), (1, 1, False), (-15, 1, False), (3, 0, True)],
)
async def test_stop_says_whether_the_job_of_the_child_finished(monkeypatch, code, lost, finished):
    child = Child(code)
    runner, _, released = runner_with(monkeypatch, child, lost=lost)
    running = asyncio.create_task(runner._run_next())
    await asyncio.sleep(0)
    assert await runner.stop(30) == finished
    assert await running
    assert (child.signals, released) == (["terminate"], [False])


async def test_stop_kills_a_child_that_does_not_end_in_time(monkeypatch):
    child = Child(ends=False)
    runner, _, _ = runner_with(monkeypatch, child, lost=1)
    running = asyncio.create_task(runner._run_next())
    await asyncio.sleep(0)
    assert not await runner.stop(0)
    assert await running
    assert child.signals == ["terminate", "kill"]


async def test_hurry_kills_the_child_at_once_and_only_once(monkeypatch):
    child = Child()
    runner, _, _ = runner_with(monkeypatch, child)
    runner.hurry()
    running = asyncio.create_task(runner._run_next())
    await asyncio.sleep(0)
    runner.hurry()
    runner.hurry()
    await running
    runner.hurry()
    assert child.signals == ["kill"]


async def test_stop_without_a_child_is_done_at_once(monkeypatch):
    child = Child()
    runner, _, _ = runner_with(monkeypatch, child)
    running = asyncio.create_task(runner._run_next())
    await asyncio.sleep(0)
    child.end(0)
    await running
    assert await runner.stop(0)
    assert child.signals == []


@pytest.mark.parametrize("worker", ["w", "host:1:abcd", "h" * 30 + ":4194304:" + "0" * 8, "h" * 64])
async def test_each_child_has_a_worker_name_of_its_own_that_fits_the_column(monkeypatch, worker):
    children = [Child() for _ in range(3)]
    names = []
    for _ in range(2):
        runner, names_of_one, _ = runner_with(monkeypatch, *children, worker=worker)
        for child in children:
            child.end(0)
            assert await runner._run_next()
        names += names_of_one
    assert len(set(names)) == 6
    assert all(len(name) <= 64 and name.startswith(worker[:20]) for name in names)


async def test_runner_that_is_cancelled_kills_its_child(monkeypatch):
    child = Child()
    runner, _, _ = runner_with(monkeypatch, child)
    running = asyncio.create_task(runner._run_next())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert child.signals == ["kill"]
    assert await runner.stop(0)
