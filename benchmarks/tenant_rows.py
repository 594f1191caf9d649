"""Tenant rows written directly into the database; 100,000 signed install requests would take an hour."""

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
SELECT_ROW = f"SELECT * FROM {TABLE} WHERE client_key = "


async def add_sites(deployed: Deployed, pattern: Site, count: int) -> list[Site]:
    """Insert copies of a site's row, each with a client key and an encrypted secret of its own; return the sites."""
    sites = [
        Site(pattern.keys, "jira", pattern.base_url, client_key=str(uuid.uuid4()), shared_secret=fresh_secret())
        for _ in range(count)
    ]
    if deployed.database is None:
        insert_sqlite(deployed, pattern, sites)
    else:
        await insert_postgresql(deployed.database, pattern, sites)
    return sites


def copies_of(row: dict[str, Any], sites: Sequence[Site]) -> Iterator[dict[str, Any]]:
    """Yield the row with the client key and the encrypted secret of each site."""
    vault = Vault([("bench", KEY)])
    for site in sites:
        encrypted = vault.encrypt(site.shared_secret.encode(), tenant_key=site.client_key, column="shared_secret")
        yield row | {"key": site.client_key, "client_key": site.client_key, "shared_secret": encrypted}


def insert_sqlite(deployed: Deployed, pattern: Site, sites: Sequence[Site]) -> None:
    """Insert the rows into a SQLite file."""
    with closing(sqlite3.connect(deployed.folder / "addonkit.db")) as database, database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute(f"{SELECT_ROW}?", (pattern.client_key,)).fetchone())
        del row["id"]
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        database.executemany(f"INSERT INTO {TABLE} ({columns}) VALUES ({values})", copies_of(row, sites))


async def insert_postgresql(url: str, pattern: Site, sites: Sequence[Site]) -> None:
    """Insert the rows into PostgreSQL and update its statistics, as autovacuum would after a while."""
    import asyncpg  # here, because SQLite does not need it

    connection = await asyncpg.connect(url)
    try:
        row = dict(await connection.fetchrow(f"{SELECT_ROW}$1", pattern.client_key))
        del row["id"]
        records = (tuple(one.values()) for one in copies_of(row, sites))
        await connection.copy_records_to_table(TABLE, records=records, columns=list(row))
        await connection.execute(f"VACUUM ANALYZE {TABLE}")
    finally:
        await connection.close()
