"""Queries of the ORM by a plugin that never filters by tenant: each reads and changes rows of one tenant only."""

import asyncio

import pytest
import pytest_asyncio

from tests.support.careless_addon import running_careless
from tests.support.careless_plugin import READING, WRITING

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    async with running_careless(tmp_path_factory.mktemp("careless")) as careless:
        yield careless


@pytest_asyncio.fixture(loop_scope="module")
async def careless(running):
    await running.refill()
    return running


@pytest.mark.parametrize("query", READING)
async def test_careless_reader_sees_one_tenant(careless, query):
    before = {number: careless.rows(number) for number in careless.numbers}
    for number in careless.numbers:
        assert await careless.run(query, number) == {str(number)}
    assert {number: careless.rows(number) for number in careless.numbers} == before


@pytest.mark.parametrize("query", WRITING)
async def test_careless_writer_changes_one_tenant(careless, query):
    mine, other = careless.numbers
    mine_before, others_before = careless.rows(mine), careless.rows(other)
    assert str(other) not in await careless.run(query, mine)
    assert careless.rows(other) == others_before
    assert careless.rows(mine) != mine_before


async def test_careless_requests_of_two_tenants_never_mix(careless):
    numbers = [number for turn in range(60) for number in careless.numbers]
    queries = list(READING)
    at_once = asyncio.Semaphore(30)  # more than the connections of the pool, and few enough for a busy machine

    async def run(place: int, number: int) -> set[str]:
        async with at_once:
            return await careless.run(queries[place // 2 % len(queries)], number)

    seen = await asyncio.gather(*(run(place, number) for place, number in enumerate(numbers)))
    assert seen == [{str(number)} for number in numbers]
