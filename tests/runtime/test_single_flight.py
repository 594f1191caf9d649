import asyncio
from contextvars import ContextVar

import pytest
from addonkit.single_flight import SingleFlight

VARIABLE = ContextVar("variable", default="empty")


class Loader:
    """Counts its calls and ends when it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def load(self) -> str:
        self.calls += 1
        await self.go.wait()
        return f"result {self.calls}"


async def test_single_flight_shares_one_task_between_concurrent_callers():
    loader, flight = Loader(), SingleFlight()
    callers = [asyncio.create_task(flight.run("key", loader.load)) for _ in range(5)]
    await asyncio.sleep(0)
    loader.go.set()
    assert await asyncio.gather(*callers) == ["result 1"] * 5
    assert "key" not in flight


async def test_single_flight_runs_again_for_a_caller_that_comes_later():
    loader, flight = Loader(), SingleFlight()
    loader.go.set()
    assert [await flight.run("key", loader.load), await flight.run("key", loader.load)] == ["result 1", "result 2"]


async def test_single_flight_survives_the_cancellation_of_its_first_caller():
    loader, flight = Loader(), SingleFlight()
    first, second = (asyncio.create_task(flight.run("key", loader.load)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    loader.go.set()
    assert await second == "result 1"


async def test_single_flight_gives_an_error_to_every_caller():
    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    flight = SingleFlight()
    found = await asyncio.gather(*(flight.run("key", fail) for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in found] == ["no"] * 3


async def test_single_flight_starts_anew_after_forget():
    loader, flight = Loader(), SingleFlight()
    first = asyncio.create_task(flight.run("key", loader.load))
    await asyncio.sleep(0.01)
    flight.forget(["key"])
    second = asyncio.create_task(flight.run("key", loader.load))
    await asyncio.sleep(0.01)
    assert loader.calls == 2
    loader.go.set()
    await asyncio.gather(first, second)


async def test_single_flight_task_is_not_current_once_it_is_forgotten():
    flight = SingleFlight()
    go, seen = asyncio.Event(), []

    async def load() -> None:
        seen.append(flight.is_current("key"))
        await go.wait()
        seen.append(flight.is_current("key"))

    task = asyncio.create_task(flight.run("key", load))
    await asyncio.sleep(0.01)
    flight.forget()
    go.set()
    await task
    assert seen == [True, False]


@pytest.mark.parametrize(("own_context", "expected"), [(True, "empty"), (False, "caller")])
async def test_single_flight_runs_in_the_callers_context_by_default(own_context, expected):
    async def load() -> str:
        return VARIABLE.get()

    VARIABLE.set("caller")
    assert await SingleFlight(own_context=own_context).run("key", load) == expected


async def test_single_flight_cancels_what_runs():
    loader, flight = Loader(), SingleFlight()
    task = asyncio.create_task(flight.run("key", loader.load))
    await asyncio.sleep(0)
    await flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
