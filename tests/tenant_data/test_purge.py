"""Purge: all rows of an uninstalled tenant are deleted, and no rows of others."""

import pytest
from addonkit.database.errors import unavailable
from addonkit.errors import StorageUnavailable
from addonkit.jobs.models import JobRow
from addonkit.tenancy.admin import retention_cutoff
from addonkit.tenancy.identities import identities_of
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data import purge as purge_module
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.purge import (
    delete_rows,
    deletion_order,
    next_batch_size,
    preview_purge,
    purge_tenant,
    tenants_due,
)
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import Table, count_tenant_rows
from addonkit.testing.databases import run_sql

from tests.support.archive import APPS
from tests.support.archive.models import Folder, Paper
from tests.support.tenant_rows import InstalledSites, create_rows

FILLED = {"archive_folder": 3, "archive_paper": 1, "archive_version": 1, "archive_record": 0}
TABLES = [
    *FILLED,
    "addonkit_identity",
    "addonkit_job",
    "addonkit_done_job",
    "addonkit_presence",
    "addonkit_tenant_history",
]


async def no_failure(_tenant):
    return None


async def uninstalled_site(sites, key="site-1", **more):
    """Return the tenant of a site that stored rows and uninstalled 31 days ago."""
    site = await sites.install(key)
    await create_rows(site, **more)
    await sites.uninstall(key, days_ago=31)
    return site


def tenant_row_counts(tmp_path, number):
    """Count the rows with a tenant's number in each table, without tenant isolation."""
    return {
        table: run_sql(tmp_path, f"SELECT count(*) FROM {table} WHERE tenant_id = ?", number)[0][0] for table in TABLES
    }


async def test_purge_leaves_no_row(sites, tmp_path):
    site = await uninstalled_site(sites)
    done = await purge_tenant(site.id, [], no_failure)
    assert done.failure is None
    assert {table: done.rows[table] for table in FILLED} == FILLED
    assert set(done.left.values()) == set(tenant_row_counts(tmp_path, site.id).values()) == {0}
    assert await TenantRow.all().count() == 0


async def test_purge_keeps_rows_of_other_tenants(sites):
    site, other = await uninstalled_site(sites), await sites.install("site-2")
    await create_rows(other)
    before = await count_tenant_rows(other, [])
    await purge_tenant(site.id, [], no_failure)
    assert await count_tenant_rows(other, []) == before


async def test_purge_counts_every_table_with_tenant_rows(sites):
    site = await uninstalled_site(sites)
    done = await purge_tenant(site.id, [], no_failure)
    assert set(done.rows) == set(done.left) == {*TABLES, "addonkit_tenant"}


async def test_purge_deletes_rows_of_an_uninstalled_plugin(archive_location, tmp_path):
    async with tenant_database(archive_location, APPS):
        site = await uninstalled_site(InstalledSites())
    async with tenant_database(archive_location, {}):
        await purge_tenant(site.id, [], no_failure)
    assert set(tenant_row_counts(tmp_path, site.id).values()) == {0}


@pytest.mark.parametrize("state", ["installed", "enabled", "disabled"])
async def test_purge_refuses_a_tenant_that_is_not_uninstalled(sites, state):
    site = await sites.install("site-1")
    await create_rows(site)
    await TenantRow.all().update(state=state)
    before = await count_tenant_rows(site, [])
    done = await purge_tenant(site.id, [], no_failure)
    assert f"is {state}; only an uninstalled tenant can be purged" in done.failure
    assert done.left == before


async def test_purge_deletes_nothing_if_a_plugin_fails(sites):
    async def refuse(_tenant):
        return "plugin 'archive' failed"

    site = await uninstalled_site(sites)
    before = await count_tenant_rows(site, [])
    done = await purge_tenant(site.id, [], refuse)
    assert (done.failure, done.left) == ("plugin 'archive' failed", before)
    assert (await sites.install("site-1")).id == site.id


async def test_purge_calls_plugins_in_the_tenant_scope_before_deletion(sites):
    seen = []

    async def count_folders(tenant):
        seen.append((tenant.client_key, await Folder.all().count()))

    site = await uninstalled_site(sites)
    await purge_tenant(site.id, [], count_folders)
    assert seen == [("site-1", 3)]


async def test_purge_stops_if_the_site_installs_while_plugins_are_called(sites):
    async def reinstall(_tenant):
        await sites.install("site-1")

    site = await uninstalled_site(sites)
    done = await purge_tenant(site.id, [], reinstall)
    assert "is installed" in done.failure
    assert {table: done.left[table] for table in FILLED} == FILLED


async def test_purge_makes_an_install_during_deletion_a_new_tenant(sites, monkeypatch):
    returned = []

    async def reinstall(*args):
        returned.append(await sites.install("site-1"))
        await delete_rows(*args)

    site = await uninstalled_site(sites)
    monkeypatch.setattr(purge_module, "delete_rows", reinstall)
    done = await purge_tenant(site.id, [], no_failure)
    assert done.failure is None
    assert returned[0].id != site.id
    assert (await sites.store.find(IdentityKind.CLIENT_KEY, "site-1")).tenant == returned[0]


async def test_purge_deletes_the_identities_before_the_rows(sites, monkeypatch):
    seen = []

    async def look_up(*args):
        seen.append((await identities_of(), (await TenantRow.get()).key))
        await delete_rows(*args)

    site = await sites.install("site-1", installation_id="ari:1")
    await sites.uninstall("site-1", days_ago=31)
    monkeypatch.setattr(purge_module, "delete_rows", look_up)
    done = await purge_tenant(site.id, [], no_failure)
    assert (done.failure, seen[0]) == (None, ([], f"(purging {site.id})"))
    assert done.tenant.key == "site-1"
    again = await sites.install("site-1", installation_id="ari:1")
    assert again.id != site.id
    assert {one.value for one in await identities_of(again.id)} == {"site-1", "jira:ari:1"}


async def test_purge_of_a_tenant_without_a_client_key_leaves_it_without_one(sites):
    site = await sites.install("site-1")
    await sites.uninstall("site-1", days_ago=31)
    await TenantRow.all().update(key="forge:jira:c0ffee", client_key=None)
    asked = []

    async def refuse(tenant):
        asked.append((tenant.key, tenant.connect_key))
        return "not now"

    await purge_tenant(site.id, [], refuse)
    done = await purge_tenant(site.id, [], no_failure)
    assert (asked, done.failure) == ([("forge:jira:c0ffee", None)], None)
    assert await TenantRow.all().count() == 0


async def test_purge_makes_the_client_key_unknown_at_once(sites, monkeypatch):
    known = []

    async def look_up(*args):
        known.append(await sites.store.find(IdentityKind.CLIENT_KEY, "site-1"))
        await delete_rows(*args)

    monkeypatch.setattr(purge_module, "delete_rows", look_up)
    await purge_tenant((await uninstalled_site(sites)).id, [], no_failure)
    assert known[0] is None


async def test_purge_deletes_the_secrets_before_the_rows(sites, monkeypatch):
    """An interrupted purge must not leave them."""
    site = await sites.install("site-1", secret="f" * 40)
    await sites.install("site-1", secret="a" * 40)
    before = await TenantRow.get(id=site.id)
    assert None not in (before.shared_secret, before.former_secret, before.former_until)
    await sites.uninstall("site-1", days_ago=31)
    kept = {name: getattr(before, name) for name in ("shared_secret", "former_secret", "former_until")}
    await TenantRow.filter(id=site.id).update(**kept)
    seen = []

    async def look_up(*args):
        row = await TenantRow.get(id=site.id)
        seen.append((row.shared_secret, row.former_secret, row.former_until))
        await delete_rows(*args)

    monkeypatch.setattr(purge_module, "delete_rows", look_up)
    assert (await purge_tenant(site.id, [], no_failure)).failure is None
    assert seen[0] == (None, None, None)


async def test_purge_continues_after_an_interruption_with_the_former_client_key(sites, monkeypatch):
    asked = []

    async def hear(tenant):
        asked.append(tenant.client_key)

    async def stop(*_):
        raise unavailable(OSError("gone"))

    site = await uninstalled_site(sites)
    with monkeypatch.context() as patch:
        patch.setattr(purge_module, "delete_rows", stop)
        with pytest.raises(StorageUnavailable):
            await purge_tenant(site.id, [], hear)
    assert await tenants_due(retention_cutoff(30)) == [site.id]
    assert set((await purge_tenant(site.id, [], hear)).left.values()) == {0}
    assert asked == ["site-1", "site-1"]


async def test_purge_deletes_rows_written_during_deletion(sites, monkeypatch, tmp_path):
    async def write_late(*args):
        await delete_rows(*args)
        monkeypatch.undo()
        await Folder.create()

    site = await uninstalled_site(sites)
    monkeypatch.setattr(purge_module, "delete_rows", write_late)
    await purge_tenant(site.id, [], no_failure)
    assert set(tenant_row_counts(tmp_path, site.id).values()) == {0}


async def test_purge_deletes_a_large_table_in_batches_with_progress(sites, monkeypatch):
    progress = []
    monkeypatch.setattr(purge_module, "next_batch_size", lambda *_: 4)
    monkeypatch.setattr(purge_module, "FIRST_BATCH_ROWS", 4)
    site = await uninstalled_site(sites, papers=10)
    await purge_tenant(site.id, [], no_failure, lambda table, rows: progress.append((table, rows)))
    assert [rows for table, rows in progress if table == "archive_paper"] == [4, 8, 10]


@pytest.mark.parametrize(
    ("size", "took", "following"),
    [(128, 0.01, 256), (8192, 0.01, 8192), (1024, 0.3, 1024), (1024, 2.0, 256), (2, 30.0, 1), (1, 30.0, 1)],
)
def test_batch_size_follows_the_time_of_the_last_batch(size, took, following):
    assert next_batch_size(size, took) == following


async def test_tenant_number_is_not_reused_after_a_purge(sites):
    site = await uninstalled_site(sites)
    await purge_tenant(site.id, [], no_failure)
    assert (await sites.install("site-1")).id > site.id


async def test_purge_deletes_jobs(sites):
    site = await uninstalled_site(sites)
    assert await JobRow.filter(tenant_id=site.id).count() == 2
    await purge_tenant(site.id, [], no_failure)
    assert await JobRow.all().count() == 0


async def test_purge_of_an_unknown_number_gives_none(sites):
    assert await purge_tenant(99, [], no_failure) is None


async def test_purge_preview_changes_nothing(sites):
    site = await uninstalled_site(sites)
    seen = await preview_purge(site.id, [])
    assert seen.rows == await count_tenant_rows(site, [])
    assert (await preview_purge(site.id, [])) == seen


async def test_retention_ends_for_tenants_uninstalled_before_the_cutoff(sites):
    for key, days in (("site-1", 29.9), ("site-2", 30.1), ("site-3", 400)):
        await sites.install(key)
        await sites.uninstall(key, days_ago=days)
    await sites.install("site-4")
    assert await tenants_due(retention_cutoff(30)) == [2, 3]


async def test_retention_of_zero_days_ends_at_once(sites):
    await sites.install("site-1")
    await sites.uninstall("site-1")
    assert await tenants_due(retention_cutoff(0)) == [1]


async def test_retention_does_not_end_for_a_reinstalled_tenant(sites):
    site = await uninstalled_site(sites)
    assert await tenants_due(retention_cutoff(30)) == [site.id]
    await sites.install("site-1")
    assert await tenants_due(retention_cutoff(30)) == []


async def test_retention_keeps_rows_for_a_reinstall(sites):
    site = await uninstalled_site(sites)
    back = await sites.install("site-1", secret="n" * 40)
    assert back.id == site.id
    with tenant_scope(back):
        assert await Paper.all().prefetch_related("versions").count() == 1


async def test_purge_reports_rows_that_other_rows_refer_to(sites, tmp_path):
    site = await uninstalled_site(sites)
    run_sql(tmp_path, "CREATE TABLE holder (folder_id INT REFERENCES archive_folder (id))")
    run_sql(tmp_path, "INSERT INTO holder SELECT min(id) FROM archive_folder")
    done = await purge_tenant(site.id, [], no_failure)
    assert "other rows refer to them" in done.failure
    assert done.left["archive_folder"] > 0
    run_sql(tmp_path, "DROP TABLE holder")
    assert set((await purge_tenant(site.id, [], no_failure)).left.values()) == {0}


def test_deletion_order_puts_referring_tables_first():
    tables = [
        Table("x_a", "x"),
        Table("x_b", "x", references={"a_id": {"x_a"}}),
        Table("x_c", "x", references={"b_id": {"x_b"}}),
    ]
    ordered, loosened = deletion_order(tables)
    assert ([table.name for table in ordered], loosened) == (["x_c", "x_b", "x_a"], [])


def test_deletion_order_breaks_a_circle_at_a_nullable_column():
    tables = [
        Table("x_a", "x", nullable={"b_id"}, references={"b_id": {"x_b"}}),
        Table("x_b", "x", references={"a_id": {"x_a"}}),
    ]
    ordered, loosened = deletion_order(tables)
    assert [table.name for table in ordered] == ["x_b", "x_a"]
    assert [(table.name, column) for table, column in loosened] == [("x_a", "b_id")]


def test_deletion_order_leaves_a_circle_without_nullable_column_to_the_database():
    tables = [
        Table("x_a", "x", references={"b_id": {"x_b"}}),
        Table("x_b", "x", references={"a_id": {"x_a"}, "self_id": {"x_b"}}),
    ]
    ordered, loosened = deletion_order(tables)
    assert (sorted(table.name for table in ordered), loosened) == (["x_a", "x_b"], [])


async def test_purge_skips_a_tenant_that_uninstalled_again(sites, tmp_path):
    site = await uninstalled_site(sites)
    moment = retention_cutoff(30)
    await sites.install("site-1")
    await sites.uninstall("site-1")
    done = await purge_tenant(site.id, [], no_failure, uninstalled_before=moment)
    assert "installed and uninstalled again" in done.failure
    assert tenant_row_counts(tmp_path, site.id)["archive_folder"] == FILLED["archive_folder"]
