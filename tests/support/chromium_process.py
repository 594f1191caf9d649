"""One Chromium for all tests in a browser: ``python -m tests.support.chromium_process <executable>``.

It prints the address that tests connect to once the browser answers there, and ends with its standard input. Starting a
browser for each test would take longer than most of them; what keeps them apart are contexts, of which each test has
its own.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from playwright.async_api import async_playwright

from tests.support.chromium import FLAGS


def free_port() -> int:
    """A port that nobody listens on just now."""
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
