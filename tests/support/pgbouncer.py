"""PgBouncer, a connection pooler, in front of a database."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from addonkit.testing.loopback import bind

from tests.support.relay import Relay

needs_pgbouncer = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs pgbouncer")

CONFIGURATION = """
[databases]
{name} = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
"""


@asynccontextmanager
async def pgbouncer(folder: Path, target: str, mode: str) -> AsyncIterator[str]:
    """Run PgBouncer in a mode in front of a database; yield the URL through it."""
    login = urlsplit(target)
    name = login.path[1:]
    # A relay, because the server may have a Unix socket that the user of PgBouncer cannot reach.
    async with Relay(target).open() as relay:
        with bind() as free:
            port = free.getsockname()[1]
        server = urlsplit(relay.url).port
        text = CONFIGURATION.format(name=name, server=server, port=port, folder=folder, mode=mode)
        (folder / "users").write_text(f'"{login.username}" "{login.password}"\n')
        (folder / "pgbouncer.ini").write_text(text)
        # As root, it changes to a user that must be able to read both files.
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        for path in (folder, *folder.parents[:2]):
            path.chmod(0o755)
        process = await asyncio.create_subprocess_exec(
            "pgbouncer", *user, "-q", str(folder / "pgbouncer.ini"), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(60):
                while not await _accepts(port):
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            yield f"postgres://{login.username}:{login.password}@127.0.0.1:{port}/{name}"
        finally:
            process.terminate()
            await process.wait()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
