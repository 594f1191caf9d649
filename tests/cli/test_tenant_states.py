"""``addonkit tenants enable`` and ``disable``, and what the commands show and do about gone sites."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.models import PresenceRow, TenantRow
from addonkit.tenancy.states import TenantStates
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables, database_settings, run_sql

from tests.distributions.third_party import Terminal
from tests.support.tenant_rows import InstalledSites, unused_token

APPS = {name: AppModules(f"{name}.models", f"{name}.migrations") for name in ("stranger_bare", "stranger_notes")}


class Operator(Terminal):
    """A command line, and a database with sites."""

    def change(self, change: Callable[[InstalledSites], Awaitable[Any]]) -> Any:
        async def changed() -> Any:
            async with tenant_database(Location(**database_settings(self.directory, create=False)), {}):
                return await change(InstalledSites("stranger_bare"))

        return asyncio.run(changed())

    def sites(self, *keys: str) -> None:
        """Install the add-on on sites and enable it there."""

        async def install(sites: InstalledSites) -> None:
            for key in keys:
                await sites.install(key, f"https://{key}.example")
                await sites.store.set_enabled(key, True, unused_token(), ())

        self.change(install)

    def lose(self, number: int, days: int = 14) -> None:
        """Let a site be gone."""

        async def lose(_: InstalledSites) -> None:
            evidence = {"failed_days": days, "failed_since": 1.7e9, "failed_at": 1.7e9 + days * 86400}
            await PresenceRow.create(
                tenant_id=number, next_at=0.0, is_failing=True, failed_answer="404", answer="404", **evidence
            )
            await TenantStates(enqueue_lifecycle_jobs).mark_gone(number, days, ["stranger_bare"])

        self.change(lose)

    def rows(self, *words: str) -> Any:
        result = self("tenants", *words, "--json")
        assert result.code == 0, result
        return orjson.loads(result.out)

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows("list")]

    def jobs(self) -> list[str]:
        """Names of the lifecycle jobs after the installs."""
        rows = run_sql(self.directory, "SELECT name FROM addonkit_job WHERE name <> 'addon_installed' ORDER BY id")
        return [name for (name,) in rows]


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Operator:
    operator = Operator(monkeypatch, capsys, tmp_path)
    operator.write("stranger_bare")
    asyncio.run(create_tables(Location(**database_settings(tmp_path, create=False)), APPS))
    return operator


def test_site_is_disabled_and_enabled_by_an_operator(operator: Operator) -> None:
    operator.sites("one", "two")
    result = operator("tenants", "disable", "one")
    assert (result.code, result.out) == (0, "tenant 1 ('one'): disabled\n")
    assert operator.states() == ["disabled", "enabled"]
    assert operator("tenants", "enable", "one.example").out == "tenant 1 ('one'): enabled\n"
    assert operator.states() == ["enabled", "enabled"]
    assert operator.jobs() == ["addon_disabled", "addon_enabled"]
    [site] = operator.rows("show", "1")
    assert [(entry["what"], entry["detail"]) for entry in site["history"]][-2:] == [
        ("disabled", "by an operator"),
        ("enabled", "by an operator"),
    ]


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_command_that_changes_nothing_writes_no_history(operator: Operator, command: str) -> None:
    operator.sites("one")
    operator("tenants", command, "1")
    before = operator.rows("show", "1")[0]["history"]
    assert operator("tenants", command, "1").code == 0
    assert operator.rows("show", "1")[0]["history"] == before


@pytest.mark.parametrize("command", ["enable", "disable"])
@pytest.mark.parametrize("state", ["uninstalled", "gone"])
def test_site_that_is_not_there_is_neither_enabled_nor_disabled(operator: Operator, command: str, state: str) -> None:
    operator.sites("one")
    if state == "gone":
        operator.lose(1)
    else:
        operator.change(lambda sites: sites.uninstall("one"))
    assert f"tenant 1 ('one') is {state}; only an install" in operator("tenants", command, "1").err
    assert operator.states() == [state]


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_unknown_site_is_refused(operator: Operator, command: str) -> None:
    assert operator("tenants", command, "nobody").sentence.startswith("no tenant matches 'nobody'")


def test_gone_site_is_listed_and_shown_with_the_evidence(operator: Operator) -> None:
    operator.sites("one", "two")
    operator.change(lambda sites: sites.uninstall("two"))
    operator.lose(1)
    assert operator.states() == ["gone", "uninstalled"]
    assert operator.jobs() == ["addon_uninstalled", "addon_uninstalled"]
    assert [row["number"] for row in operator.rows("list", "--state", "gone")] == [1]
    assert [row["number"] for row in operator.rows("list", "--state", "uninstalled")] == [2]
    [site] = operator.rows("show", "1")
    assert (site["state"], site["due"], site["evidence"]["failed_days"]) == ("gone", False, 14)
    shown = operator("tenants", "show", "1").out
    assert "daily call: the site answered 404 at 2023-11-28 22:13 UTC" in shown
    assert "gone" in shown


def test_gone_site_is_due_after_the_retention(operator: Operator) -> None:
    operator.sites("one")
    operator.lose(1)
    assert operator("tenants", "purge", "--due", "--yes").out == "nothing is due\n"
    result = operator("tenants", "purge", "--due", "--yes", ADDONKIT_TENANTS__RETENTION_DAYS="0")
    assert "tenant 1 ('one'): purged" in result.out


def test_purge_of_gone_sites_prints_the_evidence_and_deletes_them(operator: Operator) -> None:
    operator.sites("one", "two", "three")
    operator.lose(1)
    operator.lose(3)
    result = operator("tenants", "purge", "--gone", "--yes")
    assert result.code == 0
    lines = [line for line in result.err.splitlines() if " is gone: " in line]
    assert lines[0].startswith("tenant 1 ('one' at https://one.example) is gone: the site answered 404 at 2023-11-28")
    assert (
        "and did not know the add-on in any answer since 2023-11-14 22:13 UTC, on 14 days; marked as gone" in lines[0]
    )
    assert lines[1].startswith("tenant 3 ('three' ")
    assert operator.states() == ["enabled"]
    assert run_sql(operator.directory, "SELECT count(*) FROM addonkit_presence") == [(0,)]


def test_purge_of_gone_sites_asks_on_a_terminal(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers(io.StringIO):
        def isatty(self) -> bool:
            return True

    operator.sites("one")
    operator.lose(1)
    monkeypatch.setattr("sys.stdin", Answers("n\n"))
    result = operator("tenants", "purge", "--gone")
    assert (result.code, operator.states()) == (1, ["gone"])
    assert result.err.index("is gone: the site answered 404") < result.err.index("will be deleted permanently")


def test_purge_of_gone_sites_without_a_terminal_requires_yes(operator: Operator) -> None:
    operator.sites("one")
    operator.lose(1)
    result = operator("tenants", "purge", "--gone")
    assert (result.code, operator.states()) == (1, ["gone"])
    assert "there is no terminal to confirm this, add --yes" in result.err


def test_purge_of_named_gone_sites_leaves_the_others(operator: Operator) -> None:
    operator.sites("one", "two")
    operator.lose(1)
    operator.lose(2)
    assert operator("tenants", "purge", "--gone", "two", "--yes").code == 0
    assert operator.rows("list")[0]["number"] == 1


def test_purge_of_gone_sites_refuses_one_that_is_not_gone(operator: Operator) -> None:
    operator.sites("one", "two")
    operator.change(lambda sites: sites.uninstall("two"))
    for name, state in (("one", "enabled"), ("two", "uninstalled")):
        result = operator("tenants", "purge", "--gone", name, "--yes")
        assert f"('{name}') is {state}, expected one that is gone" in result.err
    assert operator.states() == ["enabled", "uninstalled"]


def test_purge_of_gone_sites_changes_nothing_in_a_dry_run(operator: Operator) -> None:
    operator.sites("one")
    operator.lose(1)
    result = operator("tenants", "purge", "--gone", "--dry-run")
    assert "is gone: the site answered 404" in result.err
    assert "would be purged" in result.out
    assert operator.states() == ["gone"]


def test_purge_without_gone_sites_succeeds(operator: Operator) -> None:
    operator.sites("one")
    result = operator("tenants", "purge", "--gone", "--yes")
    assert (result.code, result.out) == (0, "no site is gone\n")


@pytest.mark.parametrize("words", [["--gone", "--due"], ["1", "--gone", "--due"], ["--dry-run"]])
def test_purge_takes_names_or_due_or_gone(operator: Operator, words: list[str]) -> None:
    assert operator("tenants", "purge", *words).code == 2


def test_adoption_of_a_gone_site_is_refused(operator: Operator) -> None:
    operator.sites("one", "two")
    operator.lose(1)
    result = operator("tenants", "adopt", "one", "--from", "two", "--despite", "base-url", "--yes")
    assert "tenant 1 ('one') is gone; install the add-on on the site first" in result.err


def test_adoption_starts_without_evidence(operator: Operator) -> None:
    operator.sites("one", "two")
    operator.lose(1)
    assert operator("tenants", "adopt", "two", "--from", "one", "--despite", "base-url", "--yes").code == 0
    assert operator.states() == ["enabled"]
    assert run_sql(operator.directory, "SELECT count(*) FROM addonkit_presence") == [(0,)]

    async def columns(_: InstalledSites) -> Any:
        row = await TenantRow.get()
        return row.id, row.gone_at, row.uninstalled_at

    assert operator.change(columns) == (1, None, None)
