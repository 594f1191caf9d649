"""Tables with rows of tenants, found in the database's catalogue."""

from addonkit.tenant_data.tables import tenant_tables
from addonkit.testing.databases import run_sql

TABLES = {
    "archive_folder",
    "archive_paper",
    "archive_version",
    "archive_record",
    "addonkit_done_job",
    "addonkit_identity",
    "addonkit_job",
    "addonkit_presence",
    "addonkit_tenant",
    "addonkit_tenant_history",
}


async def test_table_belongs_to_the_plugin_with_the_longest_prefix(sites, tmp_path):
    run_sql(tmp_path, "CREATE TABLE archive_more_thing (tenant_id INT)")
    owners = {table.name: table.plugin for table in await tenant_tables(["archive_more"])}
    assert (owners["archive_folder"], owners["archive_more_thing"]) == ("archive", "archive_more")


async def test_table_without_plugin_or_tenant_is_ignored(sites, tmp_path):
    run_sql(tmp_path, "CREATE TABLE strange (tenant_id INT)")
    run_sql(tmp_path, "CREATE TABLE archive_words (word INT)")
    assert {table.name for table in await tenant_tables([])} == TABLES
