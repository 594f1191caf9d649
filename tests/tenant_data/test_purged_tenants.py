"""Tasks that write rows of a tenant after it was purged."""

import asyncio

import pytest
from addonkit.database.migrate import migrate
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.purge import purge_tenant
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import run_sql
from tortoise.connection import get_connection
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from tests.support.archive import APPS
from tests.support.archive.models import Folder
from tests.support.tenant_rows import InstalledSites
from tests.support.tenants import tenant


async def no_plugins(_tenant):
    return None


async def purge(sites, key):
    await sites.uninstall(key, days_ago=31)
    row = await TenantRow.get(client_key=key)
    return await purge_tenant(row.id, ["archive"], no_plugins)


async def in_a_transaction():
    async with in_transaction():
        await Folder.create()


async def by_sql(number):
    await get_connection("default").execute_query(f"INSERT INTO archive_folder (tenant_id) VALUES ({number})")


WRITES = {
    "create": lambda _: Folder.create(),
    "save": lambda _: Folder().save(),
    "get_or_create": lambda _: Folder.get_or_create(parent=None),
    "update_or_create": lambda _: Folder.update_or_create({}, parent=None),
    "bulk_create": lambda _: Folder.bulk_create([Folder(), Folder()]),
    "in a transaction": lambda _: in_a_transaction(),
    "SQL by hand": by_sql,
}


@pytest.mark.parametrize("write", WRITES)
async def test_task_that_outlives_its_tenant_stores_nothing(sites, tmp_path, write):
    site = await sites.install("site-1")
    purged = asyncio.Event()

    async def outlive():
        await purged.wait()
        await WRITES[write](site.id)

    with tenant_scope(site):
        task = asyncio.create_task(outlive())
    assert (await purge(sites, "site-1")).failure is None
    purged.set()
    with pytest.raises(IntegrityError, match="the tenant was purged"):
        await task
    assert run_sql(tmp_path, "SELECT count(*) FROM archive_folder") == [(0,)]


async def test_tenant_that_is_not_purged_stores_rows(sites, tmp_path):
    await sites.install("site-1")
    other = await sites.install("site-2", "https://two.atlassian.net")
    await purge(sites, "site-1")
    with tenant_scope(other):
        await Folder.create()
    assert run_sql(tmp_path, "SELECT tenant_id FROM archive_folder") == [(other.id,)]


async def test_number_that_was_never_assigned_is_not_refused(sites):
    site = await sites.install("site-1")
    with tenant_scope(tenant(site.id + 100)):
        await Folder.create()


async def test_purge_deletes_the_row_of_a_transaction_that_was_open(sites, tmp_path):
    site = await sites.install("site-1")
    await sites.uninstall("site-1", days_ago=31)
    written, purged = asyncio.Event(), []

    async def write():
        with tenant_scope(site):
            async with in_transaction():
                await Folder.create()
                written.set()
                await asyncio.sleep(0.2)

    task = asyncio.create_task(write())
    await written.wait()
    purged.append(await purge_tenant(site.id, ["archive"], no_plugins))
    await task
    assert purged[0].failure is None
    assert run_sql(tmp_path, "SELECT count(*) FROM archive_folder") == [(0,)]


async def test_migration_adds_the_guard_again(archive_location):
    """SQLite drops a table's triggers when it copies the table, and cannot rename one that a trigger reads."""
    assert await migrate(archive_location, APPS) == []
    async with tenant_database(archive_location, APPS):
        sites = InstalledSites()
        site = await sites.install("site-1")
        await purge(sites, "site-1")
        with tenant_scope(site), pytest.raises(IntegrityError):
            await Folder.create()
