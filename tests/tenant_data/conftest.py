"""Fixtures of the tenant data tests: databases with the tables of the test plugins ``archive`` and ``notes``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from addonkit.database.location import Location
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings

from tests.support import archive
from tests.support import notes as notes_plugin
from tests.support.notes.models import Link, Note, Pin, Slug
from tests.support.tenant_rows import InstalledSites
from tests.support.tenants import tenant


@pytest.fixture
async def archive_location(tmp_path: Path) -> Location:
    """A database with the tables of the plugin ``archive``."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, archive.APPS)
    return location


@pytest.fixture
async def sites(archive_location: Location) -> AsyncIterator[InstalledSites]:
    """Sites in the open database of the plugin ``archive``, which listens to lifecycle events."""
    async with tenant_database(archive_location, archive.APPS):
        yield InstalledSites("archive")


@pytest.fixture
async def notes(tmp_path: Path) -> AsyncIterator[dict[int, Note]]:
    """Two notes of each of the tenants 1 and 2 in an open database; the first note by tenant. No tenant is in scope."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, notes_plugin.APPS)
    async with tenant_database(location, notes_plugin.APPS):
        made = {}
        for number in (1, 2):
            with tenant_scope(tenant(number)):
                note = await Note.create(title="first", size=10 * number)
                await Note.create(title="second", open=False)
                await Link.create(note=note, text="link")
                await Pin.create(note=note)
                await Slug.create(slug="same", value=f"of {number}")
                made[number] = note
        yield made
