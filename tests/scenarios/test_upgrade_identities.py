"""A database from before tenants had identities, upgraded and used: nothing is lost, and everything works.

The dumps in ``upgrades/before-identities.*`` were written by the last release that knew tenants by their client key
alone. They stay as they are. Statements of that release are here as text, to run them on the upgraded database.
"""

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from addonkit.app import create_addon
from addonkit.app.migrate import pending_steps, upgrade
from addonkit.tenancy.key_usage import FORMER, SHARED
from addonkit.tenancy.record import TokenUse
from addonkit.tenancy.vault import Vault
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import database_settings, on_postgresql, run_sql
from addonkit.testing.fixtures import completed

# The sites of the dump cannot be reached.
pytestmark = pytest.mark.usefixtures("fast_backoff")

KIND = "postgresql" if on_postgresql() else "sqlite"
DUMPS = Path(__file__).parent.parent / "upgrades"
FACTS = json.loads((DUMPS / f"before-identities.{KIND}.json").read_text())
INSTALLATION = "jira:ari:cloud:ecosystem::installation/0d1f"
ISSUE = {"id": "10001", "key": "AB-1"}
ITEMS = ["Buy paint; and 'brushes'", "Paint the wall", "Żółć \u2013 漆"]
SITES = {
    "site-jira": ("jira", "http://127.0.0.1:9000"),
    "site-wiki": ("confluence", "http://127.0.0.1:9000/wiki"),
    "site-gone": ("jira", "http://127.0.0.1:9002"),
    "site-off": ("jira", "http://127.0.0.1:9003"),
    "site-rotated": ("jira", "http://127.0.0.1:9004"),
    "site-lonely": ("confluence", "http://127.0.0.1:9005/wiki"),
}
COLUMNS = (
    "id, client_key, product, base_url, display_url, oauth_client_id, installation_id, shared_secret, former_secret, "
    "former_until, state, installed_iat, created_at, updated_at, uninstalled_at, note"
)
LATER_COLUMNS = ("project_id", "space_key", "checked_at", "missing_since")
LATER_INDEXES = re.compile(r'\("?tenant_id"?, "?(?:poll|vote)_id"?\)')
# What the release before this one sends for a first install, a change of a tenant, and the end of a purge.
OLD_INSERT = (
    'INSERT INTO "addonkit_tenant" ("client_key","product","base_url","display_url","oauth_client_id",'
    '"installation_id","shared_secret","former_secret","former_until","state","installed_iat","created_at",'
    '"updated_at","uninstalled_at","note") '
    "VALUES ('{key}','jira','{url}','{url}',NULL,NULL,'v1.first.x',NULL,NULL,'installed',5,CURRENT_TIMESTAMP,"
    "CURRENT_TIMESTAMP,NULL,NULL)"
)
OLD_UPDATE = (
    'UPDATE "addonkit_tenant" SET "client_key"=\'{key}\',"product"=\'jira\',"base_url"=\'{url}\','
    '"display_url"=\'{url}\',"oauth_client_id"=NULL,"installation_id"=NULL,"shared_secret"=NULL,'
    '"former_secret"=NULL,"former_until"=NULL,"state"=\'{state}\',"installed_iat"=6,'
    '"updated_at"=CURRENT_TIMESTAMP,"uninstalled_at"=NULL,"note"=NULL WHERE "id"={id}'
)
OLD_DELETE = 'DELETE FROM "addonkit_tenant" WHERE "id"={id}'
URL = "https://new.atlassian.net"


@pytest.fixture
async def old(tmp_path):
    """The table ``[database]`` of a database from before identities."""
    settings, text = database_settings(tmp_path), (DUMPS / f"before-identities.{KIND}.sql").read_text()
    if on_postgresql():
        import asyncpg

        connection = await asyncpg.connect(settings["owner_url"])
        await connection.execute(text)
        await connection.close()
    else:
        with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection:
            connection.executescript(text)
    return settings


@pytest.fixture
async def made(old, tmp_path):
    """The add-on of today on that database, not yet started, and the REST API of its sites."""
    rest = RestApi(InstallKeys())
    async with rest.serve() as url:
        config = {
            "addon": {"plugins": ["issue_panel", "macro"]},
            "database": old,
            "jobs": {"in_server": False},
            "security": {"encryption_keys": FACTS["encryption_keys"]},
        }
        yield create_addon(completed(config, url, tmp_path), tmp_path), rest


@pytest.fixture
def serve(made):
    """Upgrade, and serve the sites that were there."""
    addon, rest = made

    @asynccontextmanager
    async def upgraded():
        await upgrade(addon.deployment)
        async with Host(addon, rest.keys, rest=rest) as host:
            for name, (product, base_url) in SITES.items():
                secret = FACTS["secrets"][name]
                host.sites.append(Site(rest.keys, product, base_url, client_key=name, shared_secret=secret))
            yield host

    return upgraded


def named(host, name):
    return next(site for site in host.sites if site.client_key == name)


def rows(tmp_path, query):
    return [tuple(row) for row in run_sql(tmp_path, query)]


def identities(tmp_path, where="TRUE"):
    return rows(
        tmp_path,
        f"SELECT tenant_id, kind, value, retired_at IS NOT NULL FROM addonkit_identity WHERE {where} ORDER BY id",
    )


def keys(tmp_path):
    return dict(rows(tmp_path, "SELECT id, key FROM addonkit_tenant"))


async def texts(page):
    return [item["text"] for item in (await page.fetch("items")).json()["items"]]


def plugin_tables(tmp_path):
    """Columns, indexes and rows of every table that belongs to a plugin, without what its later migrations add."""
    if on_postgresql():
        columns = rows(
            tmp_path,
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, column_default::text "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'addonkit%' "
            "AND table_name <> 'tortoise_migrations' ORDER BY 1, 2",
        )
        indexes = rows(tmp_path, "SELECT indexdef FROM pg_indexes WHERE tablename NOT LIKE 'addonkit%' ORDER BY 1")
    else:
        where = "tbl_name NOT LIKE 'addonkit%' AND tbl_name NOT LIKE '%tortoise%' AND tbl_name NOT LIKE 'sqlite%'"
        columns = rows(
            tmp_path,
            'SELECT m.tbl_name, c.name, c.type, c."notnull", c.dflt_value FROM sqlite_master m '
            f"JOIN pragma_table_info(m.tbl_name) c WHERE m.type = 'table' AND {where} ORDER BY 1, 2",
        )
        indexes = rows(tmp_path, f"SELECT sql FROM sqlite_master WHERE type = 'index' AND {where} ORDER BY name")
    columns = [column for column in columns if column[1] not in LATER_COLUMNS]
    indexes = [index for (index,) in indexes if not any(name in str(index) for name in LATER_COLUMNS)]
    indexes = [index for index in indexes if not LATER_INDEXES.search(str(index))]
    tables = {table: [name for of, name, *_ in columns if of == table] for table, *_ in columns}
    content = {
        table: rows(tmp_path, f"SELECT {', '.join(names)} FROM {table} ORDER BY id") for table, names in tables.items()
    }
    return (columns, indexes), content


async def test_upgrade_lists_its_migrations_and_is_complete_after_them(made):
    deployment = made[0].deployment
    steps = [step for step in pending_steps(deployment) if " " not in step]
    assert steps[:2] == ["addonkit.0005_identities", "addonkit.0006_install_keys"]
    assert "addonkit.0005_identities" in await upgrade(deployment)
    assert pending_steps(deployment) == []


async def test_upgrade_run_twice_changes_nothing_the_second_time(made, tmp_path):
    await upgrade(made[0].deployment)
    before = rows(tmp_path, "SELECT * FROM addonkit_identity ORDER BY id")
    assert await upgrade(made[0].deployment) == []
    assert rows(tmp_path, "SELECT * FROM addonkit_identity ORDER BY id") == before


async def test_upgrade_keeps_every_column_of_every_tenant(made, tmp_path):
    before = rows(tmp_path, f"SELECT {COLUMNS} FROM addonkit_tenant ORDER BY id")
    await upgrade(made[0].deployment)
    assert rows(tmp_path, f"SELECT {COLUMNS} FROM addonkit_tenant ORDER BY id") == before
    added = rows(tmp_path, "SELECT key, cloud_id, environment FROM addonkit_tenant ORDER BY id")
    assert added == [(name, None, "production") for name in SITES]


async def test_upgrade_keeps_history_notes_jobs_and_used_tokens(made, tmp_path):
    tables = ("addonkit_tenant_history", "addonkit_job", "addonkit_schedule", "addonkit_used_token")
    before = {table: rows(tmp_path, f"SELECT * FROM {table} ORDER BY id") for table in tables}
    await upgrade(made[0].deployment)
    after = {table: rows(tmp_path, f"SELECT * FROM {table} ORDER BY id") for table in tables}
    # Later migrations append columns.
    kept = {table: [row[: len(before[table][0])] for row in found] for table, found in after.items() if found}
    assert kept == before
    assert rows(tmp_path, "SELECT note FROM addonkit_tenant WHERE id = 1") == [("invoice 4711",)]


async def test_upgrade_leaves_the_tables_of_plugins_as_they_are(made, tmp_path):
    before = plugin_tables(tmp_path)
    await upgrade(made[0].deployment)
    assert plugin_tables(tmp_path) == before
    assert {"issue_panel_item", "macro_poll"} <= before[1].keys()


async def test_upgrade_makes_identities_of_client_keys_and_installation_ids(made, tmp_path):
    await upgrade(made[0].deployment)
    assert identities(tmp_path) == [
        *[(number, "client_key", name, 0) for number, name in enumerate(SITES, 1)],
        (1, "installation", INSTALLATION, 0),
    ]
    seen = "SELECT count(*) FROM addonkit_identity i JOIN addonkit_tenant t ON t.id = i.tenant_id"
    assert rows(tmp_path, f"{seen} WHERE i.first_seen = t.created_at AND i.last_seen = t.updated_at") == [(7,)]


async def test_upgrade_gives_a_shared_installation_id_to_the_tenant_that_is_installed(made, tmp_path):
    run_sql(tmp_path, "UPDATE addonkit_tenant SET installation_id = 'ari:1' WHERE id IN (3, 5)")
    await upgrade(made[0].deployment)
    assert identities(tmp_path, "value = 'jira:ari:1'") == [(5, "installation", "jira:ari:1", 0)]


async def test_upgrade_makes_no_identity_of_a_tenant_that_is_being_purged(made, tmp_path):
    run_sql(tmp_path, "UPDATE addonkit_tenant SET client_key = '(purging 3)', installation_id = 'ari:1' WHERE id = 3")
    await upgrade(made[0].deployment)
    assert identities(tmp_path, "tenant_id = 3") == []
    assert keys(tmp_path)[3] == "(purging 3)"


@pytest.mark.sqlite
async def test_upgrade_never_gives_the_number_of_a_deleted_tenant_again(made, tmp_path):
    run_sql(tmp_path, "DELETE FROM addonkit_tenant WHERE id >= 5")
    await upgrade(made[0].deployment)
    run_sql(tmp_path, OLD_INSERT.format(key="site-new", url=URL))
    assert rows(tmp_path, "SELECT id FROM addonkit_tenant WHERE key = 'site-new'") == [(7,)]


async def test_secrets_still_decrypts_for_the_key_of_its_tenant(made, tmp_path):
    addon = made[0]
    await upgrade(addon.deployment)
    vault = Vault(addon.deployment.encryption_keys())
    found = {}
    for key, secret, former in rows(tmp_path, "SELECT key, shared_secret, former_secret FROM addonkit_tenant"):
        found[key] = vault.decrypt(secret, tenant_key=key, column=SHARED).decode()
        if former:
            assert vault.decrypt(former, tenant_key=key, column=FORMER).decode() == FACTS["former"][key]
    assert found == FACTS["secrets"]


@pytest.mark.parametrize(
    ("name", "expected"), [("site-jira", ITEMS), ("site-rotated", ["Rotated"]), ("site-gone", None)]
)
async def test_pages_answer_as_before(serve, name, expected):
    async with serve() as host:
        page = await host.open("issue-panel-panel", site=named(host, name), issue=ISSUE)
        assert page.response.status_code == (200 if expected else 401)
        if expected:
            assert await texts(page) == expected


async def test_disabled_site_is_enabled_by_a_token_that_was_issued_later(serve):
    async with serve() as host:
        page = await host.open("issue-panel-panel", site=named(host, "site-off"), issue=ISSUE)
        assert page.response.status_code == 200


@pytest.mark.parametrize("name", ["site-wiki", "site-lonely"])
async def test_pages_of_confluence_answer_as_before(serve, name):
    async with serve() as host:
        page = await host.open("addonkit-poll", site=named(host, name), account="ann", parameters={"poll": "1" * 32})
        assert page.response.status_code == 200


async def test_former_secret_is_accepted_in_a_page_url(serve):
    async with serve() as host:
        site = named(host, "site-rotated")
        site.shared_secret = FACTS["former"]["site-rotated"]
        page = await host.open("issue-panel-panel", site=site, issue=ISSUE)
        assert page.response.status_code == 200


async def test_used_token_stays_used(made, serve, tmp_path):
    addon, rest = made
    site = Site(rest.keys, "jira", SITES["site-jira"][1], client_key="site-jira")
    deployed = {"key": addon.deployment.settings.addon.key, "baseUrl": addon.deployment.settings.addon.base_url}
    _, url, headers, body = site.lifecycle_request(
        {**deployed, "lifecycle": {"installed": "/lifecycle/installed"}}, "installed"
    )
    use = TokenUse.of(headers["authorization"].removeprefix("JWT "), issued_at=0, expires_at=0)
    run_sql(
        tmp_path,
        f"INSERT INTO addonkit_used_token (digest, expires_at) VALUES ('{use.digest}', {int(time.time()) + 999})",
    )
    async with serve() as host:
        response = await host.client.request("POST", url, headers=headers, content=body)
        assert response.status_code == 401
        page = await host.open("issue-panel-panel", site=named(host, "site-jira"), issue=ISSUE)
        assert await texts(page) == ITEMS


@pytest.mark.parametrize(("name", "number"), [("site-jira", 1), ("site-gone", 3), ("site-off", 4)])
async def test_reinstall_attaches_to_the_same_tenant(serve, tmp_path, name, number):
    async with serve() as host:
        await host.reinstall(named(host, name))
        assert (await host.open("issue-panel-panel", site=named(host, name), issue=ISSUE)).response.status_code == 200
    assert keys(tmp_path) == dict(enumerate(SITES, 1))
    assert identities(tmp_path, "kind = 'client_key'") == [(n, "client_key", k, 0) for n, k in enumerate(SITES, 1)]
    history = rows(tmp_path, f"SELECT what FROM addonkit_tenant_history WHERE tenant_id = {number} ORDER BY id")
    assert history[0] == ("installed",)
    assert len(history) > 2


async def test_new_site_gets_a_new_tenant(serve, tmp_path):
    async with serve() as host:
        site = await host.install()
        assert keys(tmp_path)[7] == site.client_key
    assert identities(tmp_path, "tenant_id = 7") == [(7, "client_key", site.client_key, 0)]


async def test_stored_webhook_runs_after_the_upgrade(made, tmp_path):
    addon, _ = made
    await upgrade(addon.deployment)
    # the rows that were written by hand are of no job handler
    run_sql(tmp_path, "DELETE FROM addonkit_job WHERE id > 1")
    await addon.start(working=True)
    await addon.settled()
    await addon.stop()
    assert rows(tmp_path, "SELECT state FROM addonkit_job WHERE id = 1") == [("done",)]
    owners = rows(tmp_path, "SELECT DISTINCT tenant_id FROM issue_panel_item ORDER BY 1")
    assert owners == [(3,), (4,), (5,)]


def killed_migration(point, database):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_migration", point, json.dumps(database)],
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", ["before_rebuild", "before_fill", "before_triggers", "before_commit", "after_commit"])
async def test_migration_killed_at_any_point_is_completed_by_the_next_run(made, old, tmp_path, point):
    before = plugin_tables(tmp_path)
    killed_migration(point, old)
    applied = rows(tmp_path, "SELECT name FROM tortoise_migrations WHERE app = 'addonkit' ORDER BY name")
    assert (("0005_identities",) in applied) == (point == "after_commit")
    assert len(rows(tmp_path, f"SELECT {COLUMNS} FROM addonkit_tenant")) == 6
    await upgrade(made[0].deployment)
    assert pending_steps(made[0].deployment) == []
    assert keys(tmp_path) == dict(enumerate(SITES, 1))
    assert len(identities(tmp_path)) == 7
    assert plugin_tables(tmp_path) == before


async def test_install_by_the_earlier_release_is_served_by_this_one(made, serve, tmp_path):
    async with serve() as host:
        site = Site(made[1].keys, "jira", SITES["site-off"][1], client_key="site-new")
        assert (await host.open("issue-panel-panel", site=site, issue=ISSUE)).response.status_code == 401
        secret = Vault(made[0].deployment.encryption_keys()).encrypt(
            site.shared_secret.encode(), tenant_key="site-new", column=SHARED
        )
        added = OLD_INSERT.format(key="site-new", url=site.base_url).replace("v1.first.x", secret)
        await asyncio.to_thread(run_sql, tmp_path, added)
        assert keys(tmp_path)[7] == "site-new"
        assert identities(tmp_path, "tenant_id = 7") == [(7, "client_key", "site-new", 0)]
        assert (await host.open("issue-panel-panel", site=site, issue=ISSUE)).response.status_code == 200


async def test_update_by_the_earlier_release_leaves_key_and_identity(made, tmp_path):
    await upgrade(made[0].deployment)
    run_sql(tmp_path, OLD_UPDATE.format(key="site-jira", url=URL, state="enabled", id=1))
    assert keys(tmp_path)[1] == "site-jira"
    assert identities(tmp_path, "tenant_id = 1") == [
        (1, "client_key", "site-jira", 0),
        (1, "installation", INSTALLATION, 0),
    ]


async def test_adoption_by_the_earlier_release_moves_key_and_identity(made, tmp_path):
    await upgrade(made[0].deployment)
    run_sql(tmp_path, OLD_DELETE.format(id=5))
    run_sql(tmp_path, OLD_UPDATE.format(key="site-rotated", url=URL, state="enabled", id=3))
    assert keys(tmp_path)[3] == "site-rotated"
    assert identities(tmp_path, "tenant_id IN (3, 5)") == [
        (3, "client_key", "site-gone", 1),
        (3, "client_key", "site-rotated", 0),
    ]


async def test_purge_by_the_earlier_release_frees_the_client_key(made, tmp_path):
    await upgrade(made[0].deployment)
    run_sql(tmp_path, OLD_UPDATE.format(key="(purging 3)", url=URL, state="uninstalled", id=3))
    assert keys(tmp_path)[3] == "(purging 3)"
    run_sql(tmp_path, OLD_INSERT.format(key="site-gone", url=URL))
    assert identities(tmp_path, "value = 'site-gone'") == [(7, "client_key", "site-gone", 0)]
    run_sql(tmp_path, OLD_DELETE.format(id=3))
    assert identities(tmp_path, "tenant_id = 3") == []
    assert keys(tmp_path)[7] == "site-gone"
