"""Fixtures of the runtime's tests: a database, add-ons that the tests of a module share, and sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from pathlib import Path

    from addonkit.database.location import Location
    from addonkit.testing import Site

    from tests.support.calling_plugin import CallingAddon
    from tests.support.wire import Wire


@pytest.fixture
async def location(tmp_path: Path) -> Location:
    """A database for one test, with the tables of the runtime and of no plugin."""
    from addonkit.database.location import Location
    from addonkit.testing.databases import create_tables, database_settings

    made = Location(**database_settings(tmp_path, create=False))
    await create_tables(made, {})
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """A running add-on and its host, shared by the tests of a module."""
    # Imported here, so that tests of single modules do not load the whole add-on.
    from tests.support.plugin_under_test import running_addon

    async with running_addon(tmp_path_factory.mktemp("addon")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CallingAddon]:
    """A running add-on that calls its host, shared by the tests of a module."""
    from tests.support.calling_plugin import calling_addon

    async with calling_addon(tmp_path_factory.mktemp("caller")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def site(wire: Wire) -> Site:
    """A site for one test, which has installed and enabled the add-on."""
    return await wire.host.install()


@pytest.fixture
def newcomer(wire: Wire) -> Site:
    """A site that has not installed the add-on."""
    from addonkit.testing import Site

    return Site(wire.host.keys, "jira", "http://127.0.0.1:9000")


@pytest.fixture
def fast_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off of host calls is too short to slow the tests down."""
    monkeypatch.setattr("addonkit.hostapi.retry.backoff_s", lambda failures, **_: 0.02 * failures)
