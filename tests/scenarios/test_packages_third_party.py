"""Plugins of third parties, built as wheels and installed into a folder: ``addonkit`` finds and serves them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import run_sql
from addonkit.testing.loopback import bind

from tests.distributions.third_party import environment, give_tables, installed, run, stored_in, write_config

pytestmark = pytest.mark.foreign
NOWHERE = "http://127.0.0.1:1"


def start_process(directory: Path, address: str, *options: str, **variables: str) -> subprocess.Popen[str]:
    with (directory / "stderr").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "addonkit", "serve", "--bind", address, *options],
            cwd=directory,
            env=environment(**stored_in(directory, **variables)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


@asynccontextmanager
async def serving(
    directory: Path, keys: str, *plugins: str, options: tuple[str, ...] = (), migrated: bool = True, **variables: str
) -> AsyncIterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``addonkit serve`` with these plugins; yield the base URL and the process once it is ready."""
    if migrated:
        give_tables(directory)
    with bind() as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    more = f'[host]\ninstall_keys = ["{keys}"]\ndomains = ["127.0.0.1"]\n[server]\ndrain_s = 0\n'
    write_config(directory, *plugins, base_url=url, more=more)
    process = start_process(directory, f"127.0.0.1:{port}", *options, **variables)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[1].startswith(f"Descriptor: {url}/atlassian-connect.json"), (directory / "stderr").read_text()
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()


def test_plugin_of_a_third_party_is_found_and_merged(tmp_path: Path) -> None:
    write_config(tmp_path, "issue_panel", "stranger_notes")
    document = orjson.loads(run(tmp_path, "descriptor").out)
    keys = [module["key"] for module in document["modules"]["jiraIssueContents"]]
    assert keys == ["issue-panel-panel", "stranger-notes-panel"]
    assert document["scopes"] == ["WRITE"]


def test_plugin_name_of_two_distributions_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes")
    result = run(tmp_path, "descriptor", site=installed("stranger-notes", "stranger-copy"))
    assert result.sentence == (
        "plugin 'stranger_notes' is in two packages, 'stranger-copy' and 'stranger-notes'; uninstall one of them"
    )


def test_disabled_plugin_contributes_nothing(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes", "stranger_bare")
    assert b"bare-page" in run(tmp_path, "descriptor").out.encode()
    write_config(tmp_path, "stranger_notes")
    assert b"bare-page" not in run(tmp_path, "descriptor").out.encode()


async def test_disabled_plugin_finds_its_data_when_it_is_enabled_again(tmp_path: Path) -> None:
    keys = InstallKeys()
    async with keys.serve() as server:
        async with (
            serving(tmp_path, server, "stranger_notes", "stranger_bare") as (url, _),
            Host(None, keys, url) as host,
        ):
            site = await host.install()
            page = await host.open("stranger-notes-panel", issue={"id": "1"})
            assert "Notes on 1" in page.text
            assert (await page.fetch("notes", method="POST", json={"text": "kept"})).status_code == 204
        async with serving(tmp_path, server, "stranger_bare") as (url, _), Host(None, keys, url) as host:
            assert "jiraIssueContents" not in (await host.descriptor())["modules"]
            assert (await host.request("GET", "/stranger_notes/notes")).status_code == 404
        async with (
            serving(tmp_path, server, "stranger_notes", "stranger_bare") as (url, _),
            Host(None, keys, url) as host,
        ):
            page = await host.open("stranger-notes-panel", site, issue={"id": "1"})
            assert (await page.fetch("notes")).json() == ["kept"]


async def test_plugin_without_plugin_object_serves_routes_and_receives_installations(tmp_path: Path) -> None:
    keys = InstallKeys()
    async with (
        keys.serve() as server,
        serving(tmp_path, server, "stranger_bare", "stranger_notes") as (url, _),
        Host(None, keys, url) as host,
    ):
        await host.install()
        assert (await host.request("GET", "/stranger_bare/open")).text == "come in"
        assert (await host.request("GET", "/stranger_bare/visits")).status_code == 401
        page = await host.open("stranger-notes-panel", issue={"id": "1"})
        own = {"authorization": f"Session {page.session}"}
        assert (await host.request("GET", "/stranger_bare/visits", headers=own)).status_code == 401


async def test_serve_logs_skipped_plugins_at_every_start(tmp_path: Path) -> None:
    skip = {"ADDONKIT_ADDON__ON_PLUGIN_ERROR": "skip"}
    for _ in range(2):
        async with serving(tmp_path, NOWHERE, "stranger_notes", "at_import", **skip):
            pass
        assert "cannot be imported: RuntimeError: the moon" in (tmp_path / "stderr").read_text()


async def test_disabled_plugin_is_never_imported_to_serve(tmp_path: Path) -> None:
    marker = {"STRANGER_MARKER": str(tmp_path / "marker")}
    write_config(tmp_path, "stranger_bare")
    for word in ("descriptor", "plugins", "check"):
        assert run(tmp_path, word, **marker).code == 0
    async with serving(tmp_path, NOWHERE, "stranger_bare", **marker):
        pass
    assert not (tmp_path / "marker").exists()


def test_enabled_plugin_is_imported(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_marker")
    assert run(tmp_path, "descriptor", STRANGER_MARKER=str(tmp_path / "marker")).code == 0
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
async def test_serve_answers_once_it_is_ready_and_stops_quickly(tmp_path: Path, server: str) -> None:
    if server == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    options = ("--server", server)
    async with serving(tmp_path, NOWHERE, "stranger_notes", options=options, migrated=False) as (url, process):
        async with Host(None, InstallKeys(), url) as host:
            document: dict[str, Any] = await host.descriptor()
        assert document["baseUrl"] == url
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


async def test_serve_migrates_only_when_something_is_pending(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes")
    give_tables(tmp_path)
    before = run_sql(tmp_path, "SELECT * FROM tortoise_migrations ORDER BY id")
    marker = {"STRANGER_MARKER": str(tmp_path / "marker")}  # 'migrate' imports every plugin with migrations
    async with serving(tmp_path, NOWHERE, "stranger_notes", **marker):
        assert run_sql(tmp_path, "SELECT * FROM tortoise_migrations ORDER BY id") == before
    assert not (tmp_path / "marker").exists()


def test_serve_without_migrating_refuses_a_pending_migration(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes")
    result = run(tmp_path, "serve", "--no-migrate", "--bind", "127.0.0.1:0")
    assert result.code == 1
    assert result.err.endswith("; run 'addonkit migrate'\n")


async def test_serve_without_migrating_starts_with_a_pending_migration_of_a_plugin_that_is_off(tmp_path: Path) -> None:
    give_tables(tmp_path)
    run_sql(tmp_path, "DELETE FROM tortoise_migrations WHERE app = 'stranger_notes'")
    options = ("--no-migrate",)
    async with serving(tmp_path, NOWHERE, "stranger_bare", options=options, migrated=False) as (url, _):
        async with httpx2.AsyncClient() as client:
            ready = await client.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()["checks"]["migrations"]) == (200, "ok")
    warning = (tmp_path / "stderr").read_text()
    assert "migration.pending" in warning
    assert "stranger_notes.0001_initial" in warning


def test_serve_reports_a_port_in_use(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes")
    with bind() as taken:
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(tmp_path, "serve", "--bind", address).err.splitlines()[-1] == (
            f"addonkit: cannot listen on '{address}': Address already in use; "
            "stop the process that uses it, or set --bind to another address"
        )


def test_serve_reports_a_missing_database_folder_in_one_line(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_notes")
    result = run(tmp_path, "serve", "--bind", "127.0.0.1:0", ADDONKIT_DATABASE__URL="sqlite://gone/a.db")
    assert result.code == 1
    assert result.err.splitlines()[-1].endswith("/gone' does not exist; create it")
