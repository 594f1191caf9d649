"""Where the browser tests find Chromium; as a program it prints the place, or exits with 1."""

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
    """The browser's executable: ADDONKIT_CHROMIUM, the system's, or the one that Playwright installed."""
    named = os.environ.get("ADDONKIT_CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return _playwrights()


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def running_chromium() -> Iterator[str | None]:
    """One Chromium while the block lasts, and where it is reached; None: there is none here."""
    executable = find_chromium()
    if executable is None:
        yield None
        return
    command = [sys.executable, "-m", "tests.support.chromium_process", executable]
    # in a session of its own: a Ctrl-C is for the tests, which close its input when they end
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True) as process:
        yield process.stdout.readline().strip()  # type: ignore[union-attr]
        process.communicate()


async def answer(page: Page, route: Route, host_script: str) -> None:
    """Give a tab the answer of an add-on in this process, and a host's script in place of ``all.js``.

    Args:
        page: The page that the tab shows, opened through ``addonkit.testing.Host``.
        route: What the tab asks for.
        host_script: The JavaScript that stands for the host.
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
