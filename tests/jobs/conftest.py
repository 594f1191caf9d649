"""Fixtures of the tests of jobs: an add-on that works in the background, and its one tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from addonkit import Tenant
from addonkit.tenancy.models import TenantRow

from tests.support.database_clock import DatabaseClock, database_clock
from tests.support.job_plugin import gates, seen, until_settled, working_addon
from tests.support.wire import Wire


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with working_addon(tmp_path) as running:
        await until_settled(running)
        seen.clear()
        gates.clear()
        yield running


@pytest.fixture
async def tenant(wire: Wire) -> Tenant:
    return (await TenantRow.get()).as_tenant()


@pytest.fixture
def clock() -> Iterator[DatabaseClock]:
    with database_clock() as clock:
        yield clock
