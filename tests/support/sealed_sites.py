"""Sites with secrets, put into a folder's database without a host: what tests of keys and of backups look at."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from pathlib import Path

from addonkit.app.deployment import Deployment
from addonkit.database.location import Location
from addonkit.extension.discovery import Installed
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.settings import parse_key, read_settings
from addonkit.settings.sections import DatabaseSettings
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import give_tables, named_settings

OLD, NEW, OTHER = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2", "k3"))


ADDON = {"key": "com.example.test", "name": "Test", "base_url": "http://localhost:8000", "plugins": ["none"]}


class Bare(Deployment):
    """A deployment where no plugin is installed."""

    installed: Mapping[str, tuple[Installed, ...]] = {}


def deployment_in(directory: Path, *keys: str, **addon: str) -> Deployment:
    """A deployment on SQLite in a folder, with these keys in its configuration, else with a key file."""
    settings = read_settings(None, {"addon": {**ADDON, **addon}, "security": {"encryption_keys": list(keys)}})
    return Bare(settings, directory)


def vault_of(*keys: str) -> Vault:
    """A vault of keys that are written as in a configuration."""
    return Vault([parse_key(key) for key in keys])


def secret(number: int, turn: int = 0) -> str:
    """What a site of this number signs with after so many installs."""
    return f"{number}-{turn}".ljust(40, "s")


async def install(number: int, vault: Vault, turn: int = 0) -> None:
    """Install on a site, whose secret is another at each turn, in the database at hand."""
    now = int(time.time())
    site = Installation(f"site-{number}", "jira", f"https://{number}.atlassian.net", secret(number, turn))
    use = TokenUse.of(f"head.{number}-{turn}-{vault!r}.signature", issued_at=now, expires_at=now + 180)
    await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).install(site, use, [])


async def secrets_in(vault: Vault) -> list[str]:
    """The secrets of sites 0, 1 and so on, opened with these keys, in the database at hand."""
    count = await TenantRow.all().count()
    found = [await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).find(f"site-{number}") for number in range(count)]
    return [record.secret.decode() for record in found if record is not None]


def location_in(directory: Path) -> Location:
    """Where a folder's database is."""
    return Location.from_settings(DatabaseSettings(**named_settings(directory)), directory)


def give_sites(directory: Path, count: int, *keys: str) -> None:
    """Make a folder's database unless it is there, and install on sites 0, 1 and so on, sealed with the first key."""

    async def work() -> None:
        location = location_in(directory)
        await give_tables(location, {})
        async with tenant_database(location, {}):
            for number in range(count):
                await install(number, vault_of(*keys))

    asyncio.run(work())


def secrets_of(directory: Path, *keys: str) -> list[str]:
    """The secrets in a folder's database, opened with these keys."""

    async def work() -> list[str]:
        async with tenant_database(location_in(directory), {}):
            return await secrets_in(vault_of(*keys))

    return asyncio.run(work())
