"""Many sites at once, written past the add-on: installing a hundred thousand by signed calls would take an hour."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from addon import KEY, Deployed
from addonkit.tenancy.vault import Vault
from addonkit.testing import Site
from addonkit.testing.site import fresh_secret

TABLE = "addonkit_tenant"
ONE = f"SELECT * FROM {TABLE} WHERE client_key = "


async def add_sites(deployed: Deployed, pattern: Site, count: int) -> list[Site]:
    """Sites written into the database as rows like the pattern's, each with a secret of its own."""
    sites = [
        Site(pattern.keys, "jira", pattern.base_url, client_key=str(uuid.uuid4()), shared_secret=fresh_secret())
        for _ in range(count)
    ]
    if deployed.database is None:
        into_file(deployed, pattern, sites)
    else:
        await into_server(deployed.database, pattern, sites)
    return sites


def rows_like(row: dict[str, Any], sites: Sequence[Site]) -> Iterator[dict[str, Any]]:
    """The row with the name and the sealed secret of each site."""
    vault = Vault([("bench", KEY)])
    for site in sites:
        sealed = vault.encrypt(site.shared_secret.encode(), client_key=site.client_key, column="shared_secret")
        yield row | {"client_key": site.client_key, "shared_secret": sealed}


def into_file(deployed: Deployed, pattern: Site, sites: Sequence[Site]) -> None:
    """Write them into SQLite's file."""
    with closing(sqlite3.connect(deployed.folder / "addonkit.db")) as database, database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute(f"{ONE}?", (pattern.client_key,)).fetchone())
        del row["id"]
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        database.executemany(f"INSERT INTO {TABLE} ({columns}) VALUES ({values})", rows_like(row, sites))


async def into_server(url: str, pattern: Site, sites: Sequence[Site]) -> None:
    """Write them into PostgreSQL, and let it count them as it would by itself after a while."""
    import asyncpg  # here, for SQLite needs none of it

    connection = await asyncpg.connect(url)
    try:
        row = dict(await connection.fetchrow(f"{ONE}$1", pattern.client_key))
        del row["id"]
        records = (tuple(one.values()) for one in rows_like(row, sites))
        await connection.copy_records_to_table(TABLE, records=records, columns=list(row))
        await connection.execute(f"VACUUM ANALYZE {TABLE}")
    finally:
        await connection.close()
