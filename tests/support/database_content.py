"""The whole content of a database, to search it for what it must not contain."""

from __future__ import annotations

from pathlib import Path

from addonkit.testing.databases import on_postgresql, run_sql


def database_content(directory: Path) -> bytes:
    """The content of a folder's database: the files as they are, or every row of every table as text."""
    if not on_postgresql():
        return b"".join(file.read_bytes() for file in sorted(directory.glob("addonkit.db*")))
    tables = run_sql(directory, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    rows = [
        row for (table,) in tables for row in run_sql(directory, f'SELECT one::text FROM "{table}" AS one ORDER BY 1')
    ]
    return "\n".join(text for (text,) in rows).encode()
