"""Time limits: what ``asyncio.timeout`` does, without a timer for code that waits for nothing."""

import asyncio
from contextlib import suppress

import pytest
from addonkit.time_limit import TimeLimit

LONG_S = 60


async def at_once():
    return "value"


async def after_two_waits():
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "value"


async def fails_at_once():
    raise LookupError("at once")


async def fails_after_a_wait():
    await asyncio.sleep(0)
    raise LookupError("later")


async def times_out_itself():
    await asyncio.sleep(0)
    raise TimeoutError("its own")


async def times_out_itself_at_once():
    raise TimeoutError("its own")


async def waits_within_a_shorter_limit():
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(LONG_S)
    return "value"


async def waits_for_failing_tasks():
    with suppress(LookupError):
        await asyncio.gather(fails_after_a_wait(), after_two_waits())
    return [item async for item in items()]


async def items():
    yield 1
    await asyncio.sleep(0)
    yield 2


async def cleans_up():
    try:
        await asyncio.sleep(LONG_S)
    finally:
        await asyncio.sleep(0)


async def swallows_its_cancellation():
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(LONG_S)
    return "value"


async def reference(seconds, coroutine):
    """What ``TimeLimit`` stands for."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await coroutine, limit.expired()
    except (Exception, asyncio.CancelledError) as error:
        return type(error), str(error), limit.expired()


async def limited(seconds, coroutine):
    limit = TimeLimit(seconds)
    try:
        return await limit.run(coroutine), limit.expired()
    except (Exception, asyncio.CancelledError) as error:
        return type(error), str(error), limit.expired()


@pytest.mark.parametrize("seconds", [LONG_S, 0.01, 0, None], ids=["long", "short", "zero", "none"])
@pytest.mark.parametrize(
    "coroutine",
    [
        at_once,
        after_two_waits,
        fails_at_once,
        fails_after_a_wait,
        times_out_itself,
        times_out_itself_at_once,
        waits_within_a_shorter_limit,
        waits_for_failing_tasks,
    ],
    ids=lambda coroutine: coroutine.__name__,
)
async def test_limit_does_what_asyncio_timeout_does(coroutine, seconds):
    assert await limited(seconds, coroutine()) == await reference(seconds, coroutine())


@pytest.mark.parametrize("coroutine", [cleans_up, swallows_its_cancellation], ids=lambda one: one.__name__)
async def test_limit_ends_what_waits_too_long_as_asyncio_timeout_does(coroutine):
    assert await limited(0.01, coroutine()) == await reference(0.01, coroutine())


@pytest.mark.parametrize("way", [limited, reference], ids=["limited", "reference"])
async def test_cancellation_from_outside_is_no_timeout(way):
    task = asyncio.create_task(way(LONG_S, cleans_up()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == (asyncio.CancelledError, "", False)


async def test_task_and_its_limits_are_those_of_the_caller():
    async def current():
        await asyncio.sleep(0)
        return asyncio.current_task()

    assert await TimeLimit(LONG_S).run(current()) is asyncio.current_task()


@pytest.mark.parametrize(("coroutine", "timers"), [(at_once, 0), (fails_at_once, 0), (after_two_waits, 1)])
async def test_timer_is_set_only_for_what_waits(coroutine, timers, monkeypatch):
    loop, calls = asyncio.get_running_loop(), []
    original = loop.call_at

    def counting(*arguments, **options):
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(loop, "call_at", counting)
    with suppress(LookupError):
        await TimeLimit(LONG_S).run(coroutine())
    assert len(calls) == timers


async def test_coroutine_is_closed_with_its_caller():
    ended = []

    async def waits():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    caller = TimeLimit(LONG_S).run(waits())
    caller.send(None)
    caller.close()
    assert ended == [True]
