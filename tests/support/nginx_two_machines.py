"""nginx with ``deploy/nginx-two-machines.conf``, on loopback ports and without TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.deploy_folder import DEPLOY
from tests.support.nginx import accepts

FILE = "nginx-two-machines.conf"
TEMPORARY = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")


@dataclass
class Proxy:
    """A running nginx.

    Attributes:
        folder: Its files.
        port: Where it listens.
        machines: The ports of the two machines.
    """

    folder: Path
    port: int
    machines: Sequence[int]
    _down: set[int] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def errors(self) -> str:
        """Its error log."""
        return (self.folder / "error.log").read_text()

    def write(self) -> None:
        """Write the configuration, with the machines that are marked as down."""
        servers = [
            f"server 127.0.0.1:{port} {'down' if number in self._down else 'max_fails=1 fail_timeout=5s'};"
            for number, port in enumerate(self.machines)
        ]
        changes = {
            "server 10.0.0.1:8000 max_fails=1 fail_timeout=5s;": servers[0],
            "server 10.0.0.2:8000 max_fails=1 fail_timeout=5s;": servers[1],
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port};",
            "/var/log/nginx/error.log crit": f"{self.folder}/error.log info",
            "/var/log/nginx/addonkit.log": f"{self.folder}/access.log",
        }
        text = (DEPLOY / FILE).read_text()
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        # Without TLS, and without the server that redirects to it.
        text = re.sub(r"^server \{\n +listen 80;.*?^\}$", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^ +(ssl_\w+ |listen \[).*$", "", text, flags=re.MULTILINE)
        own = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in TEMPORARY)
        main = f"daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log info; worker_processes 2;"
        whole = f"{main} events {{ worker_connections 512; }} http {{ {own}\n{text} }}"
        (self.folder / "nginx.conf").write_text(whole)

    async def mark(self, number: int, *, down: bool) -> None:
        """Mark a machine as down or not, and reload, as docs/nginx.md says."""
        (self._down.add if down else self._down.discard)(number)
        reloads = self.errors.count("gracefully shutting down")
        self.write()
        process = await asyncio.create_subprocess_exec("nginx", *self.words, "-s", "reload")
        assert await process.wait() == 0
        async with asyncio.timeout(20):
            while self.errors.count("gracefully shutting down") == reloads:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.05)

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of nginx."""
        return ("-p", str(self.folder), "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf")


@asynccontextmanager
async def two_machines(folder: Path, port: int, machines: Sequence[int]) -> AsyncIterator[Proxy]:
    """Run nginx in front of two ports for the block."""
    await asyncio.to_thread(folder.mkdir)
    proxy = Proxy(folder, port, machines)
    proxy.write()
    process = await asyncio.create_subprocess_exec("nginx", *proxy.words)
    try:
        async with asyncio.timeout(20):
            while not accepts(port):
                assert process.returncode is None, proxy.errors
                await asyncio.sleep(0.05)
        yield proxy
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
