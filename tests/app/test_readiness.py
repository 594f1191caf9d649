"""Readiness on PostgreSQL: a server that answers but accepts no writes is not ready."""

import asyncpg
import pytest
from addonkit.app.migrate import upgrade
from addonkit.app.readiness import readiness_checks
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing import databases
from addonkit.testing.databases import database_settings

from tests.support.plugin_under_test import deployment


@pytest.mark.postgresql
@pytest.mark.parametrize(("value", "word"), [("off", "ok"), ("on", "read-only")])
async def test_readiness_of_a_server_that_accepts_no_writes_says_so(tmp_path, value, word):
    found = deployment(tmp_path, database=database_settings(tmp_path))
    await upgrade(found)
    connection = await asyncpg.connect(found.location.url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.close()
    databases.server().execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
    checks = readiness_checks(found, lambda: True)
    async with tenant_database(found.location, {}):
        assert await checks["database"]() == word
        assert await checks["migrations"]() == "ok"
