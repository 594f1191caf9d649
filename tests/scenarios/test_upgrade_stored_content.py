"""Rows of checklists and polls from before they knew projects and spaces: upgraded, still written, and filled in.

The dump is that of ``test_upgrade_identities``; its tables of plugins are those of the release before projects and
spaces. Statements of that release are here as text.
"""

import json
import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from addonkit.app import create_addon
from addonkit.app.migrate import pending_steps, upgrade
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import work_scope
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import database_settings, on_postgresql, run_sql
from addonkit.testing.fixtures import completed
from addonkit_issue_panel import issues
from addonkit_macro import pages

KIND = "postgresql" if on_postgresql() else "sqlite"
DUMPS = Path(__file__).parent.parent / "upgrades"
FACTS = json.loads((DUMPS / f"before-identities.{KIND}.json").read_text())
FALSE = "false" if on_postgresql() else "0"
OLD_INSERT_ITEM = (
    'INSERT INTO "issue_panel_item" ("tenant_id","issue_id","text","done","rank","version","created_by","created_at",'
    '"done_by","done_at","edited_by","edited_at") '
    f"VALUES (1,'10009','Written by the old release',{FALSE},0,1,'ann',CURRENT_TIMESTAMP,NULL,NULL,NULL,NULL)"
)
OLD_INSERT_POLL = (
    'INSERT INTO "macro_poll" ("tenant_id","key","question","several","closes_at","author_id","draft","revision",'
    f"\"created_at\") VALUES (2,'{'a' * 32}','Tea or coffee?',{FALSE},NULL,'ann','{'d' * 32}',1,CURRENT_TIMESTAMP)"
)
OLD_INSERT_PLACE = (
    'INSERT INTO "macro_place" ("tenant_id","poll_id","content_id") SELECT tenant_id, id, \'{}\' FROM macro_poll'
)
STEPS = ["issue_panel.0002_projects", "macro.0003_spaces", "macro.0004_tenant_indexes"]
COLUMNS = {
    "issue_panel_item": "tenant_id, id, issue_id, text, done, rank, version, created_by, created_at, done_by",
    "macro_place": "tenant_id, id, poll_id, content_id",
    "macro_poll": "tenant_id, id, key, question, revision",
}


@pytest.fixture
async def made(tmp_path):
    """The add-on of today on that database, not yet started, and the REST API of its sites."""
    settings, text = database_settings(tmp_path), (DUMPS / f"before-identities.{KIND}.sql").read_text()
    if on_postgresql():
        import asyncpg

        connection = await asyncpg.connect(settings["owner_url"])
        await connection.execute(text)
        await connection.close()
    else:
        with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection:
            connection.executescript(text)
    run_sql(tmp_path, OLD_INSERT_POLL)
    run_sql(tmp_path, OLD_INSERT_PLACE.format("98347"))
    run_sql(tmp_path, "DELETE FROM addonkit_job")
    rest = RestApi(InstallKeys())
    async with rest.serve() as url:
        config = {
            "addon": {"plugins": ["issue_panel", "macro"]},
            "database": settings,
            "security": {"encryption_keys": FACTS["encryption_keys"]},
        }
        yield create_addon(completed(config, url, tmp_path), tmp_path), rest


@pytest.fixture
def serve(made):
    """Upgrade, and serve the Jira site and the Confluence site of the dump at a URL that answers."""
    addon, rest = made

    @asynccontextmanager
    async def upgraded():
        await upgrade(addon.deployment)
        async with Host(addon, rest.keys, rest=rest) as host:
            for name, product in (("site-jira", "jira"), ("site-wiki", "confluence")):
                url = rest.url + ("/wiki" if product == "confluence" else "")
                site = Site(rest.keys, product, url, client_key=name, shared_secret=FACTS["secrets"][name])
                rest.sites.append(site)
                host.sites.append(site)
                await host.reinstall(site)
            await host.settled()
            yield host

    return upgraded


@pytest.fixture
def scope(made):
    """The scope of a plugin's code for a site."""

    async def enter(name, plugin):
        addon = made[0]
        with addon.scope():
            tenant = (await TenantRow.get(client_key=name)).as_tenant()

        @contextmanager
        def both():
            with addon.scope(), work_scope(tenant, plugin, background=True):
                yield

        return both()

    return enter


def rows(tmp_path, table):
    return [tuple(row) for row in run_sql(tmp_path, f"SELECT {COLUMNS[table]} FROM {table} ORDER BY id")]


async def test_upgrade_keeps_every_row_and_knows_no_project_and_space(made, tmp_path):
    before = {table: rows(tmp_path, table) for table in COLUMNS}
    assert [step for step in pending_steps(made[0].deployment) if step in STEPS] == STEPS
    await upgrade(made[0].deployment)
    assert {table: rows(tmp_path, table) for table in COLUMNS} == before
    assert all(before.values())
    for table, container in (("issue_panel_item", "project_id"), ("macro_place", "space_key")):
        added = f"SELECT DISTINCT {container}, checked_at, missing_since FROM {table}"
        assert run_sql(tmp_path, added) == [("", None, None)]


async def test_release_before_this_one_writes_while_the_new_one_has_migrated(made, tmp_path):
    await upgrade(made[0].deployment)
    run_sql(tmp_path, OLD_INSERT_ITEM)
    run_sql(tmp_path, OLD_INSERT_PLACE.format("98360"))
    run_sql(tmp_path, "UPDATE issue_panel_item SET text = 'Changed', version = 2 WHERE issue_id = '10009'")
    assert run_sql(tmp_path, "SELECT text, project_id FROM issue_panel_item WHERE issue_id = '10009'") == [
        ("Changed", "")
    ]
    assert run_sql(tmp_path, "SELECT space_key FROM macro_place WHERE content_id = '98360'") == [("",)]


async def fill_in(host, scope):
    """Let the jobs of both plugins ask the hosts for the containers of rows."""
    objects = host.rest.resources.objects
    objects["site-jira"].add({"issue.id": "10001", "project.id": "10000"})
    objects["site-wiki"].add({"content.id": "98347", "space.key": "SHOP"})
    with await scope("site-jira", "issue_panel"):
        await issues.check_soon()
    with await scope("site-wiki", "macro"):
        await pages.check_soon()
    await host.settled()


async def test_rows_of_the_release_before_are_filled_in_from_the_host(serve, scope, tmp_path):
    async with serve() as host:
        await fill_in(host, scope)
        query = "SELECT DISTINCT tenant_id, project_id FROM issue_panel_item ORDER BY 1"
        assert run_sql(tmp_path, query)[0] == (1, "10000")
        assert {project for _, project in run_sql(tmp_path, query)[1:]} == {""}
        assert run_sql(tmp_path, "SELECT space_key FROM macro_place") == [("SHOP",)]


async def test_rows_of_the_release_before_are_deleted_with_their_project_and_space(serve, scope, tmp_path):
    async with serve() as host:
        await fill_in(host, scope)
        await host.fire("project_deleted", site=host.sites[0], project={"id": "10000", "key": "AB"})
        await host.fire("space_removed", {"space": {"key": "SHOP"}}, host.sites[1])
        await host.settled()
        assert run_sql(tmp_path, "SELECT count(*) FROM issue_panel_item WHERE tenant_id = 1") == [(0,)]
        assert run_sql(tmp_path, "SELECT count(*) FROM issue_panel_item WHERE tenant_id <> 1")[0][0] > 0
        assert run_sql(tmp_path, "SELECT count(*) FROM macro_poll WHERE tenant_id = 2") == [(0,)]
