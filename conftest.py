"""For all tests of the workspace: a real browser, the right database, and a log that no test leaves changed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from addonkit.testing import databases
from addonkit.testing.postgresql import NoServer

from tests.support.chromium import running_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that drive a browser, and skip those of SQLite when tests run on PostgreSQL."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        if databases.on_postgresql() and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about SQLite"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is about PostgreSQL have it, whatever the others run on."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("postgresql") and not databases.on_postgresql():
            patch.setenv(databases.VARIABLE, "postgresql")
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Pass over what needs PostgreSQL where none can be started; ADDONKIT_REQUIRE_POSTGRESQL forbids that."""
    if not item.get_closest_marker("postgresql"):
        return
    try:
        databases.server()
    except NoServer as wrong:
        told = pytest.fail if os.environ.get("ADDONKIT_REQUIRE_POSTGRESQL") else pytest.skip
        told(str(wrong))


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command that runs in this process configures the log for all that comes after it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    root.handlers = [one for one in root.handlers if type(one).__module__ != "addonkit.cli.logs"]
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Where the Chromium of this run is reached; None: there is none."""
    with pytest.MonkeyPatch.context() as patch:
        # what drives the browser is started for each test, and would be compiled each time
        patch.setenv("NODE_COMPILE_CACHE", str(tmp_path_factory.mktemp("node")))
        with running_chromium() as address:
            yield address


@pytest.fixture
async def chromium(chromium_address: str | None) -> AsyncIterator[Browser]:
    """A headless Chromium; without one the test is skipped, or fails where ADDONKIT_REQUIRE_BROWSER is set."""
    from playwright.async_api import async_playwright

    if chromium_address is None:
        told = pytest.fail if os.environ.get("ADDONKIT_REQUIRE_BROWSER") else pytest.skip
        told("there is no Chromium here; 'make browser' installs one")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_address)
        yield browser
        await browser.close()
