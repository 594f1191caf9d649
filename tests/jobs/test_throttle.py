"""Job handlers leave the event loop to requests, and behave as without a throttle otherwise."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from addonkit.jobs.throttle import BUSY_S, CREDIT_S, IDLE_SHARE, MAX_PAUSE_S, Throttle


def hold(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def steps(count, seconds, turns):
    for _ in range(count):
        hold(seconds)
        turns.append(time.monotonic())
        await asyncio.sleep(0)
    return count


@pytest.mark.parametrize(
    ("handlers", "count", "seconds"), [(1, 20, 0.002), (1, 3, 0.02), (8, 5, 0.002), (32, 1, 0.005), (4, 100, 0.0001)]
)
async def test_handlers_leave_most_of_the_time_to_requests(handlers, count, seconds):
    throttle, turns = Throttle(), []
    throttle.busy_at = time.monotonic() + 3600
    began = time.monotonic()
    await asyncio.gather(*(throttle.run(steps(count, seconds, turns)) for _ in range(handlers)))
    # The last step is not followed by another, so its pause is not waited for.
    held = handlers * count * seconds
    longest = max(seconds, 0.001)
    assert time.monotonic() - began >= (held - longest) * (1 + IDLE_SHARE) * 0.95 - CREDIT_S


@pytest.mark.parametrize(
    ("late_s", "pause_s"), [(0.0, 0.08), (0.01, 0.07), (0.03, 0.05), (0.5, 0.05)], ids=["0", "10 ms", "30 ms", "500 ms"]
)
async def test_pause_is_shorter_after_one_that_lasted_too_long(monkeypatch, late_s, pause_s):
    now = 1000.0
    monkeypatch.setattr("addonkit.jobs.throttle.time", SimpleNamespace(monotonic=lambda: now))
    throttle = Throttle()
    throttle.busy_at = now + 3600
    throttle.used(0.01)
    now += throttle.pause_s() + late_s + 0.01
    throttle.used(0.01)
    assert throttle.pause_s() == pytest.approx(pause_s)


async def test_handlers_do_not_wait_while_there_are_no_requests():
    throttle = Throttle()
    await throttle.run(steps(10, 0.005, []))
    assert throttle.pause_s() == 0.0


async def raises(error):
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.1, 1.0, 60.0])
@pytest.mark.parametrize("count", [1, 1000])
async def test_handlers_that_ran_without_requests_do_not_wait_for_later_ones(monkeypatch, count, seconds):
    now = 1000.0
    monkeypatch.setattr("addonkit.jobs.throttle.time", SimpleNamespace(monotonic=lambda: now))
    throttle = Throttle()
    for _ in range(count):
        now += seconds
        throttle.used(seconds)
    throttle.busy_at = now
    assert throttle.pause_s() == 0.0


@pytest.mark.parametrize("seconds", [0.3, 1.0, 60.0])
@pytest.mark.parametrize("count", [1, 5])
async def test_pause_is_bounded(monkeypatch, count, seconds):
    now = 1000.0
    monkeypatch.setattr("addonkit.jobs.throttle.time", SimpleNamespace(monotonic=lambda: now))
    throttle = Throttle()
    throttle.busy_at = now + 3600
    for _ in range(count):
        throttle.used(seconds)
    assert throttle.pause_s() == pytest.approx(MAX_PAUSE_S)
    throttle.busy_at = now
    assert throttle.pause_s() == pytest.approx(BUSY_S)


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(
    "error", [ValueError("x"), StopAsyncIteration(), KeyError("y"), asyncio.CancelledError(), GeneratorExit()]
)
async def test_errors_of_a_handler_pass(busy, error):
    throttle = Throttle()
    throttle.busy_at = time.monotonic() + 3600 * busy
    with pytest.raises(type(error)):
        await throttle.run(raises(error))


@pytest.mark.parametrize("busy", [False, True])
async def test_cancellation_and_time_limits_reach_a_handler(busy):
    throttle, started, ended = Throttle(), asyncio.Event(), []
    throttle.busy_at = time.monotonic() + 3600 * busy

    async def handler():
        started.set()
        try:
            hold(0.005)
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await throttle.run(handler())
    started.clear()
    task = asyncio.create_task(throttle.run(handler()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]


async def test_cancellation_while_it_waits_for_its_turn_reaches_a_handler():
    throttle, caught = Throttle(), []
    throttle.busy_at = time.monotonic() + 3600

    async def handler():
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            caught.append(True)
            raise

    throttle.used(0.0)
    task = asyncio.create_task(throttle.run(handler()))
    await asyncio.sleep(0)
    throttle.used(60)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught == [True]


@pytest.mark.parametrize("since_s", [0.0, BUSY_S - 0.001, BUSY_S, BUSY_S + 0.5, 1e6])
def test_process_is_busy_for_a_moment_after_each_request(monkeypatch, since_s):
    throttle = Throttle()
    throttle.busy_at = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + since_s)
    assert throttle.is_busy() == (since_s < BUSY_S)
