"""Finds and runs Chromium for browser tests; as a program, it prints the executable, or exits with 1."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addonkit.testing import Page
    from playwright.async_api import Route

ROOT = Path(__file__).parent.parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Return the executable: ADDONKIT_CHROMIUM, the system's Chromium, or Playwright's; None if there is none."""
    named = os.environ.get("ADDONKIT_CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return _installed_by_playwright()


def _installed_by_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def running_chromium() -> Iterator[str | None]:
    """Run one Chromium for the duration of the block; yield its address, or None if no Chromium is installed."""
    executable = find_chromium()
    if executable is None:
        yield None
        return
    command = [sys.executable, "-m", "tests.support.chromium_process", executable]
    # In a session of its own, so that Ctrl-C reaches the tests only; they close its input when they end.
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True) as process:
        yield process.stdout.readline().strip()  # type: ignore[union-attr]
        process.communicate()


async def fulfill(page: Page, route: Route, host_script: str) -> None:
    """Answer a browser's request with the add-on in this process, and replace ``all.js`` by another script.

    Args:
        page: The page in the tab, opened through ``addonkit.testing.Host``.
        route: The browser's request.
        host_script: JavaScript that replaces the host's ``all.js``.
    """
    request = route.request
    if not request.url.startswith(page.base_url):
        await route.fulfill(body=host_script, content_type="text/javascript")
        return
    headers = await request.all_headers()
    response = await page.client.request(request.method, request.url, headers=headers, content=request.post_data_buffer)
    await route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)


if __name__ == "__main__":
    found = find_chromium()
    sys.stdout.write(f"Chromium: {found}\n" if found else "")
    sys.exit(0 if found else 1)
