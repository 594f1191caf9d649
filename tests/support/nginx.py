"""nginx as the proxy in front of several processes of one deployment."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")

CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log info; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    {temporary}
    access_log off;
    upstream addonkit {{ {servers} keepalive 16; keepalive_timeout 60s; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://addonkit;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 5s;
        }}
    }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, port: int, upstreams: Sequence[int]) -> AsyncIterator[Path]:
    """Forward what arrives at a port to the upstream ports in turn; gives the error log.

    nginx tries every server for each request: it would otherwise leave one out for ten seconds after a refusal.
    """
    await asyncio.to_thread(folder.mkdir)
    kinds = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    text = CONFIGURATION.format(
        folder=folder,
        port=port,
        temporary="".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds),
        servers=" ".join(f"server 127.0.0.1:{upstream} max_fails=0;" for upstream in upstreams),
    )
    (folder / "nginx.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(
        "nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")
    )
    try:
        async with asyncio.timeout(60):
            while not accepts(port):
                assert process.returncode is None, (folder / "error.log").read_text()
                await asyncio.sleep(0.05)
        yield folder / "error.log"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def accepts(port: int) -> bool:
    """Whether a process listens at a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
