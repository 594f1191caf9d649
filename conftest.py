"""Fixtures for all tests of the workspace: a real browser, and a log that no test leaves changed."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chromium import FLAGS, find_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command that runs in this process configures the log for all that comes after it."""
    yield
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium; without one the test is skipped, or fails where ADDONKIT_REQUIRE_BROWSER is set."""
    from playwright.async_api import async_playwright

    executable = find_chromium()
    if executable is None:
        told = pytest.fail if os.environ.get("ADDONKIT_REQUIRE_BROWSER") else pytest.skip
        told("there is no Chromium here; 'make browser' installs one")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        await browser.close()
