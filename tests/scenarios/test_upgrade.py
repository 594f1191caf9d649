"""Upgrade of a database that release 0.1.0 created and filled: no row is lost, and everything works afterwards.

Release 0.1.0 wrote the dumps in ``tests/upgrades``: on SQLite while it served; on PostgreSQL, where it could not serve,
with its migrations and the same rows. Never change them.
"""

import json
import sqlite3
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from addonkit.app import create_addon
from addonkit.app.migrate import pending_steps, upgrade, upgrade_in_subprocess
from addonkit.jobs.counts import JobCounts, read_counts
from addonkit.jobs.maintenance import promote_due
from addonkit.jobs.recount import recount
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import database_settings, on_postgresql, run_sql
from addonkit.testing.fixtures import completed

from tests.support.job_counts import counted, maintained

# The sites of the dump cannot be reached.
pytestmark = pytest.mark.usefixtures("fast_backoff")

DUMPS = Path(__file__).parent.parent / "upgrades"
FACTS = json.loads((DUMPS / "0.1.0.json").read_text())
ISSUE = {"id": "10001", "key": "AB-1"}
ITEMS = ["Buy paint; and 'brushes'", "Paint the wall", "Żółć \u2013 漆"]


@pytest.fixture
async def old(tmp_path):
    """The section ``[database]`` for a database of release 0.1.0."""
    settings = database_settings(tmp_path)
    if on_postgresql():
        import asyncpg

        connection = await asyncpg.connect(settings["owner_url"])
        await connection.execute((DUMPS / "0.1.0.postgresql.sql").read_text())
        await connection.close()
    else:
        with closing(sqlite3.connect(tmp_path / "addonkit.db")) as connection:
            connection.executescript((DUMPS / "0.1.0.sqlite.sql").read_text())
    return settings


def site(keys, name, product, base_url):
    return Site(keys, product, base_url, client_key=name, shared_secret=FACTS["secrets"][name])


@pytest.fixture
async def made(old, tmp_path):
    """The current add-on on that database, not started, and the REST API of its host."""
    rest = RestApi(InstallKeys())
    async with rest.serve() as url:
        config = {
            "addon": {"plugins": ["issue_panel", "macro"]},
            "database": old,
            "security": {"encryption_keys": [FACTS["encryption_key"]]},
        }
        yield create_addon(completed(config, url, tmp_path), tmp_path), rest


@pytest.fixture
def serve_upgraded(made):
    """Upgrade the database and serve its sites."""
    addon, rest = made
    keys = rest.keys

    @asynccontextmanager
    async def upgraded():
        await upgrade(addon.deployment)
        async with Host(addon, keys, rest=rest) as host:
            host.sites += [
                site(keys, "site-jira", "jira", "http://127.0.0.1:9000"),
                site(keys, "site-wiki", "confluence", "http://127.0.0.1:9000/wiki"),
                site(keys, "site-gone", "jira", "http://127.0.0.1:9002"),
            ]
            yield host

    return upgraded


async def reinstall_reachable(host, site):
    """Install a site again with a base URL that can be reached; the dump has the URLs of its time."""
    site.base_url = site.display_url = host.rest.url + site.context_path
    host.rest.sites.append(site)
    await host.reinstall(site)


async def texts(page):
    return [item["text"] for item in (await page.fetch("items")).json()["items"]]


async def test_upgrade_lists_and_applies_pending_migrations(made):
    deployment = made[0].deployment
    steps = pending_steps(deployment)
    assert "addonkit.0002_history_and_releases" in steps
    assert "addonkit.0001_initial" not in steps
    # Steps of row-level security name the tables; a migration creates another table.
    assert migrations_in(await upgrade(deployment)) == migrations_in(steps)
    assert pending_steps(deployment) == []


def migrations_in(steps):
    return [step for step in steps if not step.startswith("row-level security")]


async def test_upgrade_process_is_not_a_worker(made, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("ADDONKIT_WORKER", "1")
    upgrade_in_subprocess(made[0].deployment)
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert "ADDONKIT_DATABASE__URL" in names
    assert names.isdisjoint({"PROMETHEUS_MULTIPROC_DIR", "ADDONKIT_WORKER"})


async def test_upgrade_loses_no_row(made, tmp_path):
    tables = ["addonkit_tenant", "issue_panel_item", "macro_poll", "macro_option", "macro_vote", "macro_choice"]
    before = [run_sql(tmp_path, f"SELECT count(*) FROM {table}") for table in tables]
    await upgrade(made[0].deployment)
    assert [run_sql(tmp_path, f"SELECT count(*) FROM {table}") for table in tables] == before
    assert before == [[(3,)], [(4,)], [(1,)], [(2,)], [(3,)], [(3,)]]
    unapproved = run_sql(tmp_path, "SELECT DISTINCT unapproved_scopes, unapproved_at FROM addonkit_tenant")
    assert [tuple(row) for row in unapproved] == [(None, None)]


async def test_upgrade_turns_pending_deliveries_into_jobs_in_order(made, tmp_path):
    for event in ("installed", "enabled"):
        run_sql(
            tmp_path,
            "INSERT INTO addonkit_lifecycle_notice "
            "(tenant_id, plugin, event, is_first, at, attempts, due_at, created_at) "
            f"VALUES (1, 'macro', '{event}', true, CURRENT_TIMESTAMP, 2, 5.5, CURRENT_TIMESTAMP)",
        )
    await upgrade(made[0].deployment)
    rows = run_sql(tmp_path, "SELECT name, kind, order_key, state, failures, due_at FROM addonkit_job ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("addon_installed", "lifecycle", "lifecycle", "waiting", 2, 5.5),
        ("addon_enabled", "lifecycle", "lifecycle", "blocked", 2, 5.5),
    ]
    origins = run_sql(tmp_path, "SELECT DISTINCT request_id, traceparent FROM addonkit_job")
    assert [tuple(row) for row in origins] == [(None, None)]


async def test_upgraded_jobs_are_counted_with_those_that_were_there(made, tmp_path):
    addon = made[0]
    for event in ("installed", "enabled"):
        run_sql(
            tmp_path,
            "INSERT INTO addonkit_lifecycle_notice "
            "(tenant_id, plugin, event, is_first, at, attempts, due_at, created_at) "
            f"VALUES (1, 'macro', '{event}', true, CURRENT_TIMESTAMP, 2, 5.5, CURRENT_TIMESTAMP)",
        )
    await upgrade(addon.deployment)
    async with addon.database():
        assert await read_counts() is None
        await recount()
        assert await maintained() == {"macro": JobCounts(waiting=1, blocked=1, failing=2)}
        await promote_due()
        assert await maintained() == await counted() == {"macro": JobCounts(ready=1, blocked=1, failing=2)}


async def test_upgraded_checklist_is_read_and_changed(serve_upgraded):
    async with serve_upgraded() as host:
        page = await host.open("issue-panel-panel", issue=ISSUE)
        assert await texts(page) == ITEMS
        await reinstall_reachable(host, host.site)
        assert (await page.fetch("items", method="POST", json={"text": "New"})).status_code == 201
        assert await texts(page) == [*ITEMS, "New"]


async def test_upgraded_poll_is_read_and_accepts_votes(serve_upgraded):
    async with serve_upgraded() as host:
        poll = {"poll": FACTS["poll"]}
        seen = await host.open("addonkit-poll", site=host.sites[1], account="ann", parameters=poll)
        assert "2 votes" in seen.text
        assert "67%" in seen.text
        await reinstall_reachable(host, host.sites[1])
        shown = {"parameters": poll, "content": {"id": "77"}}
        page = await host.open("addonkit-poll", site=host.sites[1], account="dana", **shown)
        (choice,) = [option for option in ("017979e8299034d8c481af1f282eb32a",) if option in page.text]
        assert (await page.fetch("vote", "PUT", {"choices": [choice]})).status_code == 200
        after = await host.open("addonkit-poll", site=host.sites[1], account="dana", parameters=poll)
        assert "3 votes" in after.text


async def test_upgraded_site_that_uninstalled_is_refused_and_finds_its_rows_when_it_returns(serve_upgraded):
    async with serve_upgraded() as host:
        gone = host.sites[2]
        assert (await host.open("issue-panel-panel", site=gone, issue=ISSUE)).response.status_code == 401
        await host.reinstall(gone)
        page = await host.open("issue-panel-panel", site=gone, issue=ISSUE)
        assert await texts(page) == ["Another site's"]


async def test_upgraded_site_has_a_help_center_from_its_next_install_on(serve_upgraded, tmp_path):
    async with serve_upgraded() as host:
        assert run_sql(tmp_path, "SELECT DISTINCT help_center_url FROM addonkit_tenant") == [(None,)]
        assert (await host.open("issue-panel-panel", issue=ISSUE)).response.status_code == 200
        host.site.help_center_url = "https://support.example.com/portal"
        await reinstall_reachable(host, host.site)
        page = await host.open("issue-panel-panel", issue=ISSUE)
        assert "https://support.example.com" in page.response.headers["content-security-policy"].split()


async def test_upgraded_add_on_accepts_new_sites(serve_upgraded):
    async with serve_upgraded() as host:
        await host.install()
        page = await host.open("issue-panel-panel", site=host.sites[3], issue=ISSUE)
        assert await texts(page) == []
