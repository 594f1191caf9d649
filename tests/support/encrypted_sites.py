"""Sites with encrypted secrets in a folder's database, without a host: for tests of keys and backups."""

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
from addonkit.tenancy.record import IdentityKind, Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables, database_settings

OLD, NEW, OTHER = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2", "k3"))


ADDON = {"key": "com.example.test", "name": "Test", "base_url": "http://localhost:8000", "plugins": ["none"]}


class Bare(Deployment):
    """A deployment where no plugin is installed."""

    installed: Mapping[str, tuple[Installed, ...]] = {}


def deployment_in(directory: Path, *keys: str, **addon: str) -> Deployment:
    """A deployment on SQLite in a folder, with these keys in its configuration, or else with a key file."""
    settings = read_settings(None, {"addon": {**ADDON, **addon}, "security": {"encryption_keys": list(keys)}})
    return Bare(settings, directory)


def vault_of(*keys: str) -> Vault:
    """A vault with keys in the form of the configuration."""
    return Vault([parse_key(key) for key in keys])


def secret(number: int, turn: int = 0) -> str:
    """The shared secret of a site after so many installs."""
    return f"{number}-{turn}".ljust(40, "s")


async def install(number: int, vault: Vault, turn: int = 0) -> None:
    """Install on a site in the open database; its secret differs with each turn."""
    now = int(time.time())
    site = Installation(f"site-{number}", "jira", f"https://{number}.atlassian.net", secret(number, turn))
    use = TokenUse.of(f"head.{number}-{turn}-{vault!r}.signature", issued_at=now, expires_at=now + 180)
    await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).install(site, use, [])


async def secrets_in(vault: Vault) -> list[str]:
    """The secrets of sites 0, 1 and so on in the open database, decrypted with a vault."""
    count = await TenantRow.all().count()
    store = TenantStore(vault, enqueue=enqueue_lifecycle_jobs)
    found = [await store.find(IdentityKind.CLIENT_KEY, f"site-{number}") for number in range(count)]
    return [record.secret.decode() for record in found if record is not None]


def location_in(directory: Path) -> Location:
    """The location of a folder's database."""
    return Location.from_settings(DatabaseSettings(**database_settings(directory, create=False)), directory)


def give_sites(directory: Path, count: int, *keys: str) -> None:
    """Install on sites 0, 1 and so on in a folder's database, encrypted with the first key."""

    async def work() -> None:
        location = location_in(directory)
        await create_tables(location, {})
        async with tenant_database(location, {}):
            for number in range(count):
                await install(number, vault_of(*keys))

    asyncio.run(work())


def secrets_of(directory: Path, *keys: str) -> list[str]:
    """The secrets in a folder's database, decrypted with these keys."""

    async def work() -> list[str]:
        async with tenant_database(location_in(directory), {}):
            return await secrets_in(vault_of(*keys))

    return asyncio.run(work())
