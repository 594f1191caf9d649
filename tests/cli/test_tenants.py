"""``addonkit tenants``: what operators see of sites, and do with their data."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit import Attempt, Deployment, JobInvocation
from addonkit.app.maintenance import SETTINGS, runtime_jobs
from addonkit.context import Tenant
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing import Host
from addonkit.testing.databases import create_tables, database_settings, run_sql

from tests.distributions.third_party import Terminal, installed, run, stored_in, third_party_plugins
from tests.support.served import until
from tests.support.tenant_rows import HOME, InstalledSites

APPS = {name: AppModules(f"{name}.models", f"{name}.migrations") for name in ("stranger_bare", "stranger_notes")}


class Operator(Terminal):
    """A command line, and sites that come and go meanwhile."""

    def sites(self, change: Callable[[InstalledSites], Awaitable[Any]]) -> Any:
        """Let sites do something."""

        async def changed() -> Any:
            async with tenant_database(Location(**database_settings(self.directory, create=False)), {}):
                return await change(InstalledSites("stranger_bare"))

        return asyncio.run(changed())

    def site(self, key: str, left_days_ago: float | None = None, rows: int = 1, **more: Any) -> Tenant:
        """A site with rows of two plugins."""

        async def come(residents: InstalledSites) -> Tenant:
            site = await residents.install(key, **more)
            if left_days_ago is not None:
                await residents.uninstall(key, left_days_ago)
            return site

        site: Tenant = self.sites(come)
        for number in range(rows):
            self.store("stranger_notes_note", site.id, f"text {number}")
            self.store("stranger_bare_visit", site.id, "visit")
        return site

    def store(self, table: str, number: int, text: str) -> None:
        """One row of a plugin's."""
        run_sql(self.directory, f"INSERT INTO {table} (tenant_id, text) VALUES (?, ?)", number, text)

    def rows(self, *words: str) -> Any:
        """What a command says to programs."""
        result = self("tenants", *words, "--json")
        assert result.code == 0, result
        return orjson.loads(result.out)

    def numbers(self, *words: str) -> list[int]:
        return [row["number"] for row in self.rows("list", *words)]


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Operator:
    operator = Operator(monkeypatch, capsys, tmp_path)
    operator.write("stranger_bare")
    asyncio.run(create_tables(Location(**database_settings(tmp_path, create=False)), APPS))
    return operator


@pytest.mark.parametrize("command", ["list", "show", "identities", "note", "export", "purge", "adopt"])
def test_help_of_every_command_and_its_config_option(operator: Operator, command: str) -> None:
    result = operator("tenants", command, "--help")
    assert result.code == 0
    assert "--config" in result.out


def test_list_shows_every_site_and_marks_what_needs_attention(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2")
    operator.site("site-3", left_days_ago=31, base_url="https://three.atlassian.net")
    assert [(row["client_key"], row["state"], row["due"], row["same_site"]) for row in operator.rows("list")] == [
        ("site-1", "installed", False, [2]),
        ("site-2", "installed", False, [1]),
        ("site-3", "uninstalled", True, []),
    ]
    lines = [line.rstrip() for line in operator("tenants", "list").out.splitlines()]
    assert lines[1].endswith("same site as 2")
    assert lines[3].endswith("due")


def test_list_without_sites_is_an_empty_array(operator: Operator) -> None:
    assert operator.rows("list") == []


def test_list_without_sites_prints_a_sentence(operator: Operator) -> None:
    result = operator("tenants", "list")
    assert (result.code, result.out) == (0, "no sites\n")


def test_list_can_be_filtered_and_limited(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2", product="confluence", base_url="https://two.atlassian.net/wiki")
    operator.site("site-3", left_days_ago=1)
    assert operator.numbers("--state", "uninstalled") == [3]
    assert operator.numbers("--product", "confluence") == [2]
    assert operator.numbers("--site", "TWO.atl") == [2]
    assert operator.numbers("--site", "site-") == [1, 2, 3]
    assert operator.numbers("--limit", "2") == [1, 2]


def test_site_is_shown_with_all_its_facts(operator: Operator) -> None:
    operator.site("site-1", rows=2)
    [site] = operator.rows("show", "1")
    assert (site["key"], site["client_key"], site["encryption_key"], site["note"]) == ("site-1", "site-1", "k1", None)
    assert [entry["what"] for entry in site["history"]] == ["installed"]
    assert {"table": "stranger_notes_note", "rows": 2} in site["rows"]
    assert [(one["plugin"], one["name"], one["failures"]) for one in site["jobs"]] == [
        ("stranger_bare", "addon_installed", 0)
    ]


@pytest.mark.parametrize("scopes", ["WRITE", "DELETE WRITE", "ACT_AS_USER", "READ", "ADMIN"])
def test_scopes_that_the_site_has_not_approved_are_shown(operator: Operator, scopes: str) -> None:
    operator.site("site-1")
    assert "has not approved" not in operator("tenants", "show", "1").out
    run_sql(operator.directory, f"UPDATE addonkit_tenant SET unapproved_scopes = '{scopes}', unapproved_at = 5")
    [site] = operator.rows("show", "1")
    assert site["unapproved_scopes"] == scopes.split()
    assert f"the site has not approved {scopes.replace(' ', ' and ')} yet" in operator("tenants", "show", "1").out
    assert f"{scopes.split()[0]} not approved" in operator("tenants", "list").out


def test_secrets_are_never_shown(operator: Operator) -> None:
    operator.site("site-1", secret="f" * 40)
    sealed = run_sql(operator.directory, "SELECT shared_secret FROM addonkit_tenant")[0][0]
    for words in (["list"], ["list", "--json"], ["show", "1"], ["show", "1", "--json"]):
        out = operator("tenants", *words).out
        assert "f" * 40 not in out
        assert sealed not in out


@pytest.mark.parametrize("name", ["1", "site-1", HOME, HOME + "/", "one.atlassian.net", "ONE.atlassian.net"])
def test_site_is_found_by_each_of_its_names(operator: Operator, name: str) -> None:
    operator.site("site-1")
    assert operator.rows("show", name)[0]["number"] == 1


def test_address_of_two_sites_is_ambiguous(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2")
    assert operator("tenants", "show", "one.atlassian.net").sentence == (
        "'one.atlassian.net' matches 2 tenants: 1 by its host name ('site-1', jira, installed), "
        "2 by its host name ('site-2', jira, installed); use the number of one of them, as in 'number:1'"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("tenants", "show", "NAME"),
        ("tenants", "identities", "NAME"),
        ("tenants", "identities", "NAME", "--retire", "1"),
        ("tenants", "note", "NAME", "text"),
        ("tenants", "export", "NAME", "--to", "out"),
        ("tenants", "purge", "NAME", "--yes"),
        ("tenants", "purge", "number:2", "NAME", "--yes"),
        ("tenants", "adopt", "NAME", "--from", "number:2", "--yes"),
        ("tenants", "adopt", "number:2", "--from", "NAME", "--yes"),
        ("jobs", "list", "--tenant", "NAME"),
        ("jobs", "retry", "--tenant", "NAME", "--yes"),
        ("jobs", "drop", "--tenant", "NAME", "--yes"),
        ("jobs", "tail", "--tenant", "NAME"),
        ("webhooks", "list", "--tenant", "NAME"),
        ("webhooks", "replay", "--tenant", "NAME", "--yes"),
        ("webhooks", "recover", "--tenant", "NAME"),
    ],
    ids=" ".join,
)
def test_name_of_two_sites_is_refused_by_every_command(operator: Operator, words: tuple[str, ...]) -> None:
    operator.site("two.atlassian.net", left_days_ago=1)
    operator.site("site-2", left_days_ago=1, base_url="https://two.atlassian.net")
    result = operator(*("two.atlassian.net" if word == "NAME" else word for word in words))
    assert (result.code, result.out) == (1, "")
    refusal = result.err.splitlines()[-1]
    assert refusal.startswith("addonkit: 'two.atlassian.net' matches 2 tenants: 1 by its client key (")
    assert [row["state"] for row in operator.rows("list")] == ["uninstalled", "uninstalled"]
    assert not (operator.directory / "out").exists()


def test_site_that_is_misspelt_gets_the_nearest_name(operator: Operator) -> None:
    operator.site("site-1")
    assert operator("tenants", "show", "sit-1").sentence.endswith("did you mean 'site-1' (tenant 1)")
    assert operator("tenants", "show", "99").sentence == "no tenant matches '99'; see 'addonkit tenants list'"


def test_identities_of_one_site_and_of_all_are_listed(operator: Operator) -> None:
    operator.site("site-1", installation_id="ari:1")
    operator.site("site-2", product="confluence")
    fields = ("tenant", "kind", "value", "environment", "retired_at")
    rows = operator.rows("identities")
    assert [tuple(row[name] for name in fields) for row in rows] == [
        (1, "client_key", "site-1", "production", None),
        (1, "installation", "jira:ari:1", "production", None),
        (2, "client_key", "site-2", "production", None),
    ]
    assert all(row["first_seen"] == row["last_seen"] for row in rows)
    assert operator.rows("identities", "site-1") == rows[:2]
    table = operator("tenants", "identities", "site-1").out.splitlines()
    assert table[0].split()[:4] == ["tenant", "id", "kind", "value"]
    assert "jira:ari:1" in table[2]


def test_identities_without_sites_are_an_empty_array(operator: Operator) -> None:
    assert operator.rows("identities") == []
    assert operator("tenants", "identities").out == "no identities\n"


def test_identity_is_retired_and_stays_in_the_list(operator: Operator) -> None:
    operator.site("site-1", installation_id="ari:1")
    [_, installation] = operator.rows("identities", "1")
    result = operator("tenants", "identities", "1", "--retire", str(installation["id"]))
    assert result.out == "tenant 1: retired the installation 'jira:ari:1'\n"
    [_, after] = operator.rows("identities", "1")
    assert after["retired_at"] is not None
    [site] = operator.rows("show", "1")
    assert site["history"][-1]["detail"] == "installation 'jira:ari:1'"


def test_identity_cannot_be_retired_without_a_site_or_as_a_client_key(operator: Operator) -> None:
    operator.site("site-1")
    assert operator("tenants", "identities", "--retire", "1").code == 2
    [client_key] = operator.rows("identities", "1")
    sentence = operator("tenants", "identities", "1", "--retire", str(client_key["id"])).sentence
    assert "is the client key of tenant 1" in sentence


def test_site_without_a_client_key_is_shown_by_its_key(operator: Operator) -> None:
    operator.site("site-1")
    run_sql(
        operator.directory,
        "UPDATE addonkit_tenant SET key = 'forge:jira:c0ffee', client_key = NULL, shared_secret = NULL",
    )
    [site] = operator.rows("show", "forge:jira:c0ffee")
    assert (site["number"], site["key"], site["client_key"]) == (1, "forge:jira:c0ffee", None)
    assert [row["key"] for row in operator.rows("list")] == ["forge:jira:c0ffee"]
    assert operator("tenants", "show", "1").code == 0
    assert operator("tenants", "note", "forge:jira:c0ffee", "hello").code == 0
    assert operator("tenants", "export", "1", "--to", str(operator.directory / "out")).code == 0


def test_note_is_written_and_removed(operator: Operator) -> None:
    operator.site("site-1")
    assert operator("tenants", "note", "1", "ask [Ms Doe]").out == "tenant 1: note written\n"
    assert "ask [Ms Doe]" in operator("tenants", "list").out
    assert operator("tenants", "note", "1", "--clear").out == "tenant 1: note removed\n"
    assert operator.rows("list")[0]["note"] is None


@pytest.mark.parametrize("words", [[], ["text", "--clear"]])
def test_note_is_either_written_or_removed(operator: Operator, words: list[str]) -> None:
    assert operator("tenants", "note", "1", *words).code == 2


def test_note_cannot_contain_terminal_escapes(operator: Operator) -> None:
    operator.site("site-1")
    operator("tenants", "note", "1", "a\x1b[31mb\nc")
    for words in (["list"], ["show", "1"]):
        out = operator("tenants", *words).out
        assert "\x1b" not in out
        assert "a\\x1b[31mb\\nc" in out


def test_database_without_tables_gets_one_sentence(operator: Operator) -> None:
    run_sql(operator.directory, "DELETE FROM tortoise_migrations WHERE name LIKE '0002_%'")
    assert "run 'addonkit migrate'" in operator("tenants", "list").sentence


def test_purge_asks_every_plugin_and_leaves_no_row(operator: Operator) -> None:
    """One of the two plugins with rows is switched off."""
    operator.site("site-1", left_days_ago=31)
    result = operator("tenants", "purge", "--due", "--yes", "--json")
    [done] = orjson.loads(result.out)
    assert (result.code, done["purged"], done["failure"]) == (0, True, None)
    assert (done["rows"]["stranger_notes_note"], done["rows"]["stranger_bare_visit"]) == (1, 1)
    assert set(done["left"].values()) == {0}
    assert "forgets site-1 with 2 visits" in result.err
    assert operator.rows("list") == []


def test_purge_prints_what_is_left(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=31)
    lines = operator("tenants", "purge", "site-1", "--yes").out.splitlines()
    assert lines[0] == "tenant 1 ('site-1'): purged"
    assert ["stranger_notes_note", "1", "0"] in [line.split() for line in lines]


def test_purge_dry_run_changes_nothing(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=31)
    [site] = operator.rows("show", "1")
    result = operator("tenants", "purge", "--due", "--dry-run")
    assert "tenant 1 ('site-1'): would be purged" in result.out
    assert "forgets" not in result.err
    assert operator.rows("show", "1") == [site]


def test_purge_without_due_sites_succeeds(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=29)
    result = operator("tenants", "purge", "--due", "--yes")
    assert (result.code, result.out) == (0, "nothing is due\n")
    assert operator.rows("purge", "--due", "--yes") == []


def test_purge_spares_a_site_that_becomes_due_during_the_prompt(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.site("site-1", left_days_ago=31)
    operator.site("site-2", left_days_ago=29)

    def agree(question: str, yes: bool) -> None:
        assert "site-2" not in question
        long_ago = "(SELECT uninstalled_at FROM addonkit_tenant WHERE id = 1)"
        run_sql(operator.directory, f"UPDATE addonkit_tenant SET uninstalled_at = {long_ago} WHERE id = 2")

    monkeypatch.setattr("addonkit.cli.tenant_data.agree", agree)
    assert "tenant 1 ('site-1'): purged" in operator("tenants", "purge", "--due").out
    assert operator.numbers() == [2]


def test_retention_is_that_of_the_deployment(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=29)
    assert "purged" in operator("tenants", "purge", "--due", "--yes", ADDONKIT_TENANTS__RETENTION_DAYS="28").out


@pytest.mark.parametrize("words", [[], ["1", "--due"]])
def test_purge_takes_sites_or_due(operator: Operator, words: list[str]) -> None:
    assert operator("tenants", "purge", *words).code == 2


def test_purge_refuses_an_installed_site(operator: Operator) -> None:
    operator.site("site-1")
    result = operator("tenants", "purge", "1", "--yes")
    assert result.code == 1
    assert "is installed; only an uninstalled tenant can be purged" in result.err


@pytest.mark.parametrize("words", [["purge", "1"], ["adopt", "2", "--from", "3"]])
def test_purge_without_a_terminal_requires_yes(operator: Operator, words: list[str]) -> None:
    operator.site("site-1", left_days_ago=31)
    operator.site("site-2", rows=0)
    operator.site("site-3")
    result = operator("tenants", *words)
    assert result.code == 1
    assert "there is no terminal to confirm this, add --yes" in result.err
    assert len(operator.rows("list")) == 3


@pytest.mark.parametrize(("answer", "left"), [("n", [1]), ("y", [])])
def test_purge_asks_on_a_terminal(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, answer: str, left: list[int]
) -> None:
    operator.site("site-1", left_days_ago=31)
    keyboard = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    result = operator("tenants", "purge", "1")
    assert "tenant 1 ('site-1' at https://one.atlassian.net) will be deleted permanently. Continue?" in result.err
    assert operator.numbers() == left


def test_purge_keeps_the_rows_of_a_site_whose_plugin_fails(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=31)
    operator.store("stranger_bare_visit", 1, "busy")
    operator.site("site-2", left_days_ago=31)
    result = operator("tenants", "purge", "--due", "--yes", "--json")
    first, second = orjson.loads(result.out)
    assert (result.code, first["purged"], second["purged"]) == (1, False, True)
    assert "plugin 'stranger_bare' failed in addon_purge (ValueError at stranger_bare:addon_purge:" in first["failure"]
    assert first["left"] == first["rows"]
    assert "secret.example" not in result.out + result.err


def test_purge_reports_an_unusable_plugin_once_and_continues(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=31)
    result = operator("tenants", "purge", "--due", "--yes")
    assert result.err.count("addonkit: skipped: plugin 'at_import' (stranger-faults 1.0) cannot be imported") == 1
    assert result.err.count("addonkit: skipped: plugin 'stranger_clash' has the table 'stranger_notes_item'") == 1
    assert result.code == 0


def test_purge_deletes_rows_of_an_uninstalled_plugin(operator: Operator) -> None:
    operator.site("site-1", left_days_ago=31)
    result = run(operator.directory, "tenants", "purge", "--due", "--yes", site=installed("stranger-bare"))
    assert ["stranger_notes_note", "1", "0"] in [line.split() for line in result.out.splitlines()]


def test_export_lists_its_files(operator: Operator) -> None:
    operator.site("site-1", rows=2)
    rows = operator.rows("export", "site-1", "--to", "out")
    assert {"table": "stranger_notes_note", "plugin": "stranger_notes", "rows": 2}.items() <= rows[-1].items()
    manifest = orjson.loads((operator.directory / "out" / "manifest.json").read_bytes())
    assert manifest["releases"]["stranger-notes"] == "1.0"
    assert operator("tenants", "export", "site-1", "--to", "out").sentence.endswith("use an empty or a new folder")


def test_adoption_requires_its_arguments(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2")
    refused = operator("tenants", "adopt", "site-2", "--from", "site-1", "--yes")
    assert "stranger_bare_visit: 1, stranger_notes_note: 1" in refused.sentence
    [done] = operator.rows("adopt", "site-2", "--from", "site-1", "--discard", "--yes")
    assert (done["number"], done["client_key"], done["was"], done["given_up"]) == (1, "site-2", "site-1", 2)
    [site] = operator.rows("show", "site-2")
    assert {"table": "stranger_notes_note", "rows": 1} in site["rows"]
    assert [one["name"] for one in site["jobs"]] == ["addon_installed", "addon_installed"]
    assert operator("tenants", "show", "site-1").sentence == (
        "no tenant matches 'site-1'; tenant 1 had this key before it got another one"
    )


def test_adoption_that_discards_stops_when_a_plugin_fails(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2")
    operator.store("stranger_bare_visit", 2, "busy")
    result = operator("tenants", "adopt", "2", "--from", "1", "--discard", "--yes")
    assert result.code == 1
    assert "plugin 'stranger_bare' failed in addon_purge" in result.err
    assert operator.numbers() == [1, 2]


def test_adoption_dry_run_changes_nothing(operator: Operator) -> None:
    operator.site("site-1")
    operator.site("site-2", rows=0)
    result = operator("tenants", "adopt", "2", "--from", "1", "--dry-run")
    assert "tenant 1 would get the key 'site-2'" in result.out
    assert operator.numbers() == [1, 2]


@pytest.fixture
def addonkit_config(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    monkeypatch.syspath_prepend(str(third_party_plugins()))
    return {"addon": {"plugins": ["stranger_notes"]}}


async def test_adoption_is_seen_by_the_serving_process(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adoption from a command line beside the add-on that serves."""
    old, new = host.site, await host.install()
    opened = await host.open("stranger-notes-panel", old, issue={"id": "1"})
    await opened.fetch("notes", method="POST", json={"text": "kept"})
    page = await host.open("stranger-notes-panel", new, issue={"id": "1"})
    assert (await page.fetch("notes")).json() == []
    (tmp_path / "addon.toml").write_text(
        '[addon]\nkey = "com.example.test"\nname = "Test"\nbase_url = "http://localhost:8000"\n'
        'plugins = ["stranger_notes"]\n'
    )
    words = ("tenants", "adopt", new.client_key, "--from", old.client_key, "--yes")
    result = await asyncio.to_thread(run, tmp_path, *words)
    assert result.code == 0, result.err

    async def refused() -> bool:
        return (await host.open("stranger-notes-panel", old, issue={"id": "1"})).status == 401

    await until(refused)
    assert (await opened.fetch("notes")).status_code == 401
    page = await host.open("stranger-notes-panel", new, issue={"id": "1"})
    assert (await page.fetch("notes")).json() == ["kept"]


def test_purge_by_schedule_deletes_sites_after_retention(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.site("site-1", left_days_ago=31)
    operator.site("site-2", left_days_ago=29)
    for name, value in {"PYTHONPATH": str(third_party_plugins()), **stored_in(operator.directory)}.items():
        monkeypatch.setenv(name, value)
    deployment = Deployment.read(operator.directory / "addon.toml")
    [purge] = [spec for spec in runtime_jobs(deployment, Vault([("k1", b"k" * 32)])) if spec.name == "purge"]
    asyncio.run(purge.run(JobInvocation(None, SETTINGS, Attempt(1, 1))))
    assert operator.numbers() == [2]
    assert run_sql(operator.directory, "SELECT tenant_id FROM stranger_notes_note") == [(2,)]
