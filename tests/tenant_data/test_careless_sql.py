"""SQL statements of a plugin that never filters by tenant: row-level security restricts them to one tenant."""

import asyncio

import pytest
import pytest_asyncio
from addonkit.tenant_data.scope import tenant_scope
from tortoise.connection import get_connection
from tortoise.exceptions import OperationalError

from tests.support.careless_addon import running_careless
from tests.support.careless_plugin import RAW
from tests.support.tenants import tenant

pytestmark = [pytest.mark.postgresql, pytest.mark.asyncio(loop_scope="module")]

REFUSED = r"row-level security|permission denied|must be owner"
FOREIGN = {
    "insert": "INSERT INTO notes_note (tenant_id, title, size, open) VALUES ({other}, 'stolen', 1, true)",
    "give away": "UPDATE notes_note SET tenant_id = {other}",
    "upsert": "INSERT INTO notes_slug (id, tenant_id, slug, value) SELECT id, {other}, slug, 'stolen' FROM notes_slug "
    "ON CONFLICT (id) DO UPDATE SET tenant_id = {other}",
    "truncate": "TRUNCATE notes_slug",
    "no more policies": "ALTER TABLE notes_note DISABLE ROW LEVEL SECURITY",
    "no policy": "DROP POLICY addonkit_tenant ON notes_note",
    "migrations": "DELETE FROM tortoise_migrations",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    async with running_careless(tmp_path_factory.mktemp("careless")) as careless:
        yield careless


@pytest_asyncio.fixture(loop_scope="module")
async def careless(running):
    await running.refill()
    return running


@pytest.mark.parametrize("query", RAW)
async def test_raw_sql_without_where_sees_one_tenant(careless, query):
    mine, other = careless.numbers
    others_before = careless.rows(other)
    assert await careless.run(query, mine) == {str(mine)}
    assert careless.rows(other) == others_before


@pytest.mark.parametrize("statement", FOREIGN)
async def test_raw_sql_cannot_write_for_another_tenant_or_disable_row_security(careless, statement):
    mine, other = careless.numbers
    before = careless.rows(mine), careless.rows(other)
    with tenant_scope(tenant(mine)), pytest.raises(OperationalError, match=REFUSED):
        await get_connection("default").execute_script(FOREIGN[statement].format(other=other))
    assert (careless.rows(mine), careless.rows(other)) == before


async def test_raw_sql_without_a_tenant_sees_and_writes_nothing(careless):
    connection = get_connection("default")
    assert await connection.execute_query("SELECT * FROM notes_note") == (0, [])
    assert await connection.execute_query("UPDATE notes_note SET size = 99") == (0, [])
    assert await connection.execute_query("DELETE FROM notes_note") == (0, [])
    with pytest.raises(OperationalError, match=REFUSED):
        await connection.execute_script(FOREIGN["insert"].format(other=careless.numbers[1]))


async def test_raw_sql_of_concurrent_tasks_never_mixes_tenants(careless):
    async def read(number):
        with tenant_scope(tenant(number)):
            rows = [await get_connection("default").execute_query_dict("SELECT * FROM notes_note") for _ in range(20)]
        return {row["tenant_id"] for some in rows for row in some}

    numbers = careless.numbers * 20
    assert await asyncio.gather(*(read(number) for number in numbers)) == [{number} for number in numbers]
