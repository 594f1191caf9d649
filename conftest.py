"""Fixtures and hooks for all tests of the workspace: Chromium, the database that a test needs, and log settings."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from addonkit.testing import databases
from addonkit.testing.memory import memory_folder
from addonkit.testing.postgresql import ServerUnavailable

from tests.support.chromium import running_chromium
from tests.support.expected_skips import ExpectedSkips

if TYPE_CHECKING:
    from addonkit.forge.package_folder import Package
    from playwright.async_api import Browser


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the list of expected skips."""
    parser.addoption("--expected-skips", type=Path, help="fail if a test is skipped for a reason not in this file")


def pytest_configure(config: pytest.Config) -> None:
    """Collect garbage less often, and keep the tests' files in memory if it has room for them.

    With thousands of tests in memory, garbage collection took a fifth of the processor time. On a disk, a commit of
    SQLite waits for milliseconds.
    """
    gc.set_threshold(20_000, 10, 10)
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist, whose main process gets the reports of all workers
    if (skips := config.getoption("--expected-skips")) is not None and not is_worker:
        config.pluginmanager.register(ExpectedSkips(skips), "expected_skips")
    folder = memory_folder(executable=True)
    if folder is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection, and cache no bytecode of what tests write.

    Python recognises a changed file by its size and its time in whole seconds, and tests change files faster.
    """
    gc.freeze()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use, and skip tests of SQLite when the tests run on PostgreSQL."""
    for item in items:
        for fixture, mark in (("chromium", pytest.mark.browser), ("forge_package", pytest.mark.forge)):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if databases.on_postgresql() and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="only SQLite has this behaviour"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked ``postgresql`` on PostgreSQL, whatever database the other tests use."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("postgresql") and not databases.on_postgresql():
            patch.setenv(databases.VARIABLE, "postgresql")
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``postgresql`` if no server can be started; fail if ADDONKIT_REQUIRE_POSTGRESQL is set."""
    if not item.get_closest_marker("postgresql"):
        return
    try:
        databases.server()
    except ServerUnavailable as error:
        skip_or_fail(str(error), "ADDONKIT_REQUIRE_POSTGRESQL")


def skip_or_fail(reason: str, variable: str) -> NoReturn:
    """Fail the test if an environment variable is set; otherwise skip it."""
    if os.environ.get(variable):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _log_settings_restored() -> Iterator[None]:
    """Restore the log settings after a test, because a command that runs in this process changes them."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    root.handlers = [one for one in root.handlers if type(one).__module__ != "addonkit.cli.logs"]
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """The address of the Chromium that all tests of this run share; None if no Chromium is installed."""
    with pytest.MonkeyPatch.context() as patch:
        # Playwright's driver starts for each test; without a cache, Node.js would compile it each time.
        patch.setenv("NODE_COMPILE_CACHE", str(tmp_path_factory.mktemp("node")))
        with running_chromium() as address:
            yield address


@pytest.fixture
async def chromium(chromium_address: str | None) -> AsyncIterator[Browser]:
    """A headless Chromium; without one, the test is skipped, or fails if ADDONKIT_REQUIRE_BROWSER is set."""
    from playwright.async_api import async_playwright

    if chromium_address is None:
        skip_or_fail("Chromium is not installed; run 'make browser'", "ADDONKIT_REQUIRE_BROWSER")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_address)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def forge_package() -> Package:
    """Forge's npm package; without it, the test is skipped, or fails if ADDONKIT_REQUIRE_FORGE is set."""
    from addonkit.errors import SettingsInvalid
    from addonkit.forge.package_folder import named_package

    try:
        return named_package(Path(__file__).parent / "tests/forge")
    except SettingsInvalid:
        skip_or_fail("Forge's npm packages are not installed; run 'make forge'", "ADDONKIT_REQUIRE_FORGE")
