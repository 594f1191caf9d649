"""``addonkit webhooks recover``: sites are asked for what they could not deliver."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit.testing import InstallKeys, RestApi, Site

from tests.support.job_rows import JobsTerminal, jobs_terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> JobsTerminal:
    terminal = jobs_terminal(monkeypatch, capsys, tmp_path)
    terminal.install_webhook_plugin(monkeypatch)
    terminal.write("hooked")
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv("ADDONKIT_SECURITY__ENCRYPTION_KEYS", f'["k1:{key}"]')
    return terminal


def of_hooked(identifier: str) -> dict[str, Any]:
    url = "http://localhost:8000/webhooks/hooked/forget?issue_id=7"
    return {"id": identifier, "url": url, "body": "{}", "failureTime": int(time.time() * 1000)}


def test_recover_asks_all_sites_and_reports_those_that_failed(terminal: JobsTerminal) -> None:
    rest = RestApi(InstallKeys())
    with rest.serve_in_thread() as url:
        for number in (1, 2, 3):
            terminal.site(f"site-{number}", url)
            site = Site(InstallKeys(), "jira", url, client_key=f"site-{number}", shared_secret="f" * 40)
            if number < 3:
                rest.sites.append(site)
        terminal.site("wiki", url + "/wiki", "confluence")
        rest.resources.failed["site-1"] = [of_hooked("a"), of_hooked("b")]
        result = terminal("webhooks", "recover", "--dry-run", "--tenant", "site-1")
        assert (result.code, result.err) == (0, "2 webhooks would be enqueued\n")
        result = terminal("webhooks", "recover", "--json")
    assert result.code == 1
    rows = orjson.loads(result.out)
    assert [(row["found"], row["new"], row["error"] is None) for row in rows] == [
        *[(2, 2, True), (0, 0, True), (0, 0, False)]
    ]
    assert "does not accept the token" in rows[2]["error"]
    assert [row["identifier"] for row in terminal.rows("webhooks", "list")] == ["b", "a"]


def test_recover_refuses_a_confluence_site(terminal: JobsTerminal) -> None:
    terminal.site("wiki", "https://one.atlassian.net/wiki", "confluence")
    result = terminal("webhooks", "recover", "--tenant", "wiki")
    assert result.sentence == (
        "'https://one.atlassian.net/wiki' is a Confluence site, which keeps no failed webhooks; name a Jira site"
    )


def test_recover_without_sites_enqueues_nothing(terminal: JobsTerminal) -> None:
    result = terminal("webhooks", "recover")
    assert (result.code, result.err) == (0, "0 webhooks enqueued\n")


@pytest.mark.parametrize("hours", [1, 2, 24, 71, 72, 100])
def test_recover_looks_back_as_long_as_done_jobs_are_kept(terminal: JobsTerminal, hours: int) -> None:
    terminal.write("hooked", more=f"[jobs]\nkeep_done_hours = {hours}\n")
    rest, limit = RestApi(InstallKeys()), time.time() - min(hours, 72) * 3600
    with rest.serve_in_thread() as url:
        terminal.site("site-1", url)
        rest.sites.append(Site(InstallKeys(), "jira", url, client_key="site-1", shared_secret="f" * 40))
        rest.resources.failed["site-1"] = [
            of_hooked("kept") | {"failureTime": int((limit + 120) * 1000)},
            of_hooked("gone") | {"failureTime": int((limit - 120) * 1000)},
        ]
        assert terminal("webhooks", "recover").err == "1 webhook enqueued\n"
    assert [row["identifier"] for row in terminal.rows("webhooks", "list")] == ["kept"]
