"""Export: the rows of one tenant as JSON Lines, with a manifest."""

import base64
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from addonkit.database.errors import unavailable
from addonkit.errors import AddonkitError, StorageUnavailable
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data import export as export_module
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.export import export_tenant
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import count_tenant_rows
from addonkit.testing.databases import on_postgresql, run_sql

from tests.support.archive import APPS
from tests.support.archive.models import Folder, Record
from tests.support.tenant_rows import InstalledSites, create_rows

IDENTITY = UUID("6f0c1f52-6f4a-4d0f-9d15-1f6f6b3b7a01")
RELEASES = {"addonkit": "1.0"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "export"


async def create_record(site, **values):
    with tenant_scope(site):
        await Record.create(
            **{
                "id": IDENTITY,
                "amount": Decimal("12345678901234.560000"),
                "seal": b"\x00\xff",
                "data": {"list": [1, None, "line\nbreak"]},
                "day": date(2026, 2, 28),
                "at": datetime(2026, 2, 28, 12, 30, 0, 123000, tzinfo=UTC),
                "valid": True,
                "share": 0.1,
                "text": 'quote " and line\nbreak',
                **values,
            }
        )


def file_names(folder):
    return {file.name for file in folder.iterdir()}


def exported_rows(folder, table):
    return [orjson.loads(line) for line in (folder / f"{table}.jsonl").read_bytes().splitlines()]


async def test_export_has_all_rows_of_one_tenant_only(sites, folder):
    site, other = await sites.install("site-1"), await sites.install("site-2")
    for one in (site, other):
        await create_rows(one, papers=3)
    manifest = await export_tenant(site, [], folder, RELEASES)
    assert {table["table"]: table["rows"] for table in manifest["tables"]} == await count_tenant_rows(site, [])
    for table in manifest["tables"]:
        rows = exported_rows(folder, table["table"])
        assert len(rows) == table["rows"]
        assert {row.get("tenant_id", row["id"]) for row in rows} <= {site.id}


async def test_export_values_are_exact(sites, folder):
    site = await sites.install("site-1")
    await create_record(site)
    await export_tenant(site, [], folder, RELEASES)
    [row] = exported_rows(folder, "archive_record")
    assert row == {
        "id": str(IDENTITY),
        "tenant_id": site.id,
        "amount": "12345678901234.560000",
        "seal": base64.b64encode(b"\x00\xff").decode(),
        "data": {"list": [1, None, "line\nbreak"]},
        "day": "2026-02-28",
        "at": "2026-02-28T12:30:00.123000+00:00",
        "valid": True,
        "share": 0.1,
        "text": 'quote " and line\nbreak',
    }


async def test_export_keeps_all_digits_of_numbers_in_json(sites, folder, tmp_path):
    site, exact = await sites.install("site-1"), '{"n": [123456789012345678901234567890, 0.12345678901234567890123]}'
    await create_record(site)
    run_sql(tmp_path, "UPDATE archive_record SET data = ?", exact)
    await export_tenant(site, [], folder, RELEASES)
    assert exact in (folder / "archive_record.jsonl").read_text()


@pytest.mark.sqlite
@pytest.mark.parametrize(("stored", "shown"), [('{\n"a": 1}', {"a": 1}), ("{broken", "{broken")])
async def test_export_writes_json_values_on_one_line(sites, folder, tmp_path, stored, shown):
    site = await sites.install("site-1")
    await create_record(site)
    run_sql(tmp_path, "UPDATE archive_record SET data = ?", stored)
    await export_tenant(site, [], folder, RELEASES)
    assert exported_rows(folder, "archive_record")[0]["data"] == shown


async def test_export_writes_non_finite_numbers_as_text(sites, folder):
    site = await sites.install("site-1")
    await create_record(site, share=float("inf"))
    await export_tenant(site, [], folder, RELEASES)
    assert exported_rows(folder, "archive_record")[0]["share"] == "inf"


async def test_export_has_no_secrets(sites, folder):
    site = await sites.install("site-1", secret="f" * 40)
    await sites.install("site-1", secret="s" * 40)
    sealed = await TenantRow.get(id=site.id)
    await export_tenant(site, [], folder, RELEASES)
    text = "".join(file.read_text() for file in folder.iterdir())
    for secret in ("f" * 40, "s" * 40, sealed.shared_secret, sealed.former_secret, "shared_secret", "former_secret"):
        assert secret not in text


async def test_export_has_rows_of_an_uninstalled_plugin(archive_location, folder):
    async with tenant_database(archive_location, APPS):
        site = await InstalledSites().install("site-1")
        await create_rows(site)
    async with tenant_database(archive_location, {}):
        await export_tenant(site, [], folder, RELEASES)
    assert len(exported_rows(folder, "archive_folder")) == 3


async def test_export_has_the_history(sites, folder):
    site = await sites.install("site-1")
    await export_tenant(site, [], folder, RELEASES)
    assert [row["what"] for row in exported_rows(folder, "addonkit_tenant_history")] == ["installed"]
    assert exported_rows(folder, "addonkit_tenant")[0]["client_key"] == "site-1"


async def test_export_manifest_lists_files_and_releases(sites, folder):
    site = await sites.install("site-1")
    manifest = await export_tenant(site, ["archive"], folder, RELEASES)
    stored = orjson.loads((folder / "manifest.json").read_bytes())
    assert stored == manifest
    assert stored["releases"] == RELEASES
    names = {"key": "site-1", "client_key": "site-1"}
    assert stored["tenant"] == {"number": site.id, **names, "base_url": site.base_url}
    assert {table["file"] for table in stored["tables"]} | {"manifest.json"} == file_names(folder)
    assert {table["plugin"] for table in stored["tables"]} == {"addonkit", "archive"}


async def test_export_files_are_private(sites, folder):
    await export_tenant(await sites.install("site-1"), [], folder, RELEASES)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


async def test_export_makes_an_empty_folder_private(sites, folder):
    folder.mkdir(mode=0o755)
    await export_tenant(await sites.install("site-1"), [], folder, RELEASES)
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_export_refuses_a_folder_that_is_not_empty(sites, folder):
    folder.mkdir()
    (folder / "mine").write_text("x")
    with pytest.raises(AddonkitError, match="is not empty"):
        await export_tenant(await sites.install("site-1"), [], folder, RELEASES)
    assert file_names(folder) == {"mine"}


async def test_export_refuses_a_folder_that_cannot_be_created(sites, tmp_path):
    with pytest.raises(AddonkitError, match="cannot be written"):
        await export_tenant(await sites.install("site-1"), [], tmp_path / "none" / "export", RELEASES)


async def test_export_that_fails_leaves_no_files(sites, folder, monkeypatch):
    def fail(*_):
        raise unavailable(OSError("gone"))

    site = await sites.install("site-1")
    monkeypatch.setattr(export_module, "converters", fail)
    with pytest.raises(StorageUnavailable):
        await export_tenant(site, [], folder, RELEASES)
    assert file_names(folder) == set()


@pytest.mark.parametrize("tables", [0, 1, 2, 3])
async def test_export_that_fails_in_the_middle_leaves_no_files(sites, folder, monkeypatch, tables):
    make, made = export_module.converters, []

    def fail_later(*arguments):
        made.append(file_names(folder))
        if len(made) > tables:
            raise unavailable(OSError("gone"))
        return make(*arguments)

    site = await sites.install("site-1")
    monkeypatch.setattr(export_module, "converters", fail_later)
    with pytest.raises(StorageUnavailable):
        await export_tenant(site, [], folder, RELEASES)
    assert len(made[-1]) == tables
    assert file_names(folder) == set()


async def test_export_to_a_full_disk_is_not_a_database_error(sites, folder, monkeypatch):
    open_really, site = os.open, await sites.install("site-1")
    monkeypatch.setattr(export_module.os, "open", lambda *_: open_really("/dev/full", os.O_WRONLY))
    with pytest.raises(AddonkitError, match="No space left") as caught:
        await export_tenant(site, [], folder, RELEASES)
    assert not isinstance(caught.value, StorageUnavailable)


async def test_export_is_a_consistent_snapshot(sites, folder, monkeypatch):
    """A row that is written during the export, into a table that is read later, is not in the files."""
    site = await sites.install("site-1")
    await create_rows(site)

    def write_meanwhile(table, _rows):
        if table == "addonkit_tenant":
            run_sql(folder.parent, "INSERT INTO archive_folder (tenant_id) VALUES (?)", site.id)

    await export_tenant(site, [], folder, RELEASES, write_meanwhile)
    assert len(exported_rows(folder, "archive_folder")) == 3
    assert (await count_tenant_rows(site, []))["archive_folder"] == 4


async def test_export_reads_a_large_table_in_batches(sites, folder, monkeypatch):
    progress = []
    monkeypatch.setattr(export_module, "BATCH_ROWS", 4)
    site = await sites.install("site-1")
    with tenant_scope(site):
        await Folder.bulk_create([Folder() for _ in range(10)])
    await export_tenant(site, [], folder, RELEASES, lambda table, rows: progress.append((table, rows)))
    assert [rows for table, rows in progress if table == "archive_folder"] == [4, 8, 10]
    assert [row["id"] for row in exported_rows(folder, "archive_folder")] == sorted(range(1, 11))


@pytest.mark.sqlite
async def test_export_writes_booleans_as_numbers_without_the_plugin(archive_location, folder):
    assert not on_postgresql()
    async with tenant_database(archive_location, APPS):
        site = await InstalledSites().install("site-1")
        await create_record(site)
    async with tenant_database(archive_location, {}):
        await export_tenant(site, [], folder, RELEASES)
    assert exported_rows(folder, "archive_record")[0]["valid"] == 1
