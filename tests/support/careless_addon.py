"""An add-on with the careless plugin on two sites, and the rows of each site, read directly from the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from urllib.parse import quote

from addonkit.app import Addon, Deployment
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.tenancy.models import TenantRow
from addonkit.testing import Host, InstallKeys, Site
from addonkit.testing.databases import create_tables, database_settings, drop_databases

from tests.support.notes import APPS
from tests.support.wire import Wire

BASE_URL = "http://localhost:8000"
TABLES = ("notes_link", "notes_pin", "notes_slug", "notes_note")


class InstalledNotes(Installed):
    """The installed plugin; its migrations are next to its models."""

    @property
    def package(self) -> Path:
        return Path(__file__).parent / "notes"


class CarelessDeployment(Deployment):
    """A deployment with the careless plugin."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        entry = EntryPoint("notes", "tests.support.careless_plugin:plugin", "addonkit")
        return {"notes": (InstalledNotes("notes", "addonkit-notes", "1", entry),)}


@dataclass(frozen=True)
class Careless:
    """The running add-on.

    Attributes:
        wire: The add-on and its host.
        sites: Two sites by the id of their tenant.
    """

    wire: Wire
    sites: dict[int, Site]

    @property
    def numbers(self) -> tuple[int, int]:
        """The ids of both tenants."""
        mine, other = self.sites
        return mine, other

    async def refill(self) -> None:
        """Reset the rows of both tenants; the text of each row names its tenant."""
        for table in TABLES:
            await self.wire.execute(f"DELETE FROM {table}")
        for key, number in enumerate(self.sites, 30):
            await self.wire.execute(
                "INSERT INTO notes_note (id, tenant_id, title, size, open) "
                f"VALUES ({key}, {number}, 'of {number}', 20, true), ({key + 5}, {number}, 'too of {number}', 1, true)"
            )
            await self.wire.execute(
                f"INSERT INTO notes_link (tenant_id, note_id, text) VALUES ({number}, {key}, 'of {number}')"
            )
            await self.wire.execute(f"INSERT INTO notes_pin (tenant_id, note_id) VALUES ({number}, {key})")
            await self.wire.execute(
                f"INSERT INTO notes_slug (tenant_id, slug, value) VALUES ({number}, 'x', 'of {number}')"
            )

    def rows(self, number: int) -> list[Any]:
        """Return all rows of a tenant, read directly from the database."""
        return [self.wire.rows(f"SELECT * FROM {table} WHERE tenant_id = {number} ORDER BY id") for table in TABLES]

    async def run(self, query: str, number: int) -> set[str]:
        """Run a query of the plugin as a user of a site; return the ids of the tenants whose rows it returned."""
        answer = await self.wire.open(f"/notes/query?name={quote(query)}", site=self.sites[number])
        assert answer.status == 200, answer.text
        return {title.rpartition("of ")[2] for title in answer.json()["seen"]}


@asynccontextmanager
async def running_careless(folder: Path, database: Mapping[str, Any] | None = None) -> AsyncIterator[Careless]:
    """Run an add-on with the careless plugin on two sites, on the given database or on one in the folder."""
    keys = InstallKeys()
    async with keys.serve() as url:
        sections = {
            "addon": {"key": "com.example.test", "name": "T", "base_url": BASE_URL, "plugins": ["notes"]},
            "database": database or database_settings(folder, create=False),
            "host": {"install_keys": [url], "domains": ["127.0.0.1"]},
        }
        deployment = CarelessDeployment(read_settings(None, sections), folder)
        await create_tables(deployment.location, APPS)
        addon = Addon(deployment)
        async with Host(addon, keys, BASE_URL) as host:
            sites = [await host.install(), await host.install()]
            numbers = {row.client_key: row.id for row in await TenantRow.all()}
            yield Careless(Wire(addon, host), {numbers[site.client_key]: site for site in sites})
    drop_databases(folder)
