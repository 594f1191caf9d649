"""Runs one Chromium for all browser tests: ``python -m tests.support.chromium_process <executable>``.

The process prints the browser's address once it is ready, and exits when its standard input is closed. Starting a
browser for each test would take longer than most tests; each test has a browser context of its own instead.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from playwright.async_api import async_playwright

from tests.support.chromium import FLAGS


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def serve(executable: str) -> None:
    port = free_port()
    async with async_playwright() as playwright:
        flags = [*FLAGS, f"--remote-debugging-port={port}"]
        browser = await playwright.chromium.launch(executable_path=executable, args=flags, handle_sigint=False)
        sys.stdout.write(f"http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
