"""``addonkit forge parity`` as owners meet it: the report, its JSON, exit codes, accepted losses."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest

from tests.distributions.third_party import Terminal
from tests.support.forge_addon import FORGE

PLUGIN = '''"""A plugin that loses something at each stage."""
from addonkit import Plugin, Tenant

plugin = Plugin("leaver", __name__, scopes={"READ"})

@plugin.module("jiraReports", key="leaver-report", name="Report", description={"value": "x"})
async def report() -> str:
    return ""

@plugin.hook
async def addon_disabled(tenant: Tenant) -> None:
    pass
'''


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    (tmp_path / "addonkit_leaver.py").write_text(PLUGIN)
    info = tmp_path / "addonkit_leaver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: addonkit-leaver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[addonkit]\nleaver = addonkit_leaver:plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "addonkit_leaver", raising=False)
    return Terminal(monkeypatch, capsys, tmp_path)


def rows(terminal: Terminal, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = orjson.loads(terminal("forge", "parity", "--json", *words).out)
    return found


def test_parity_needs_no_forge_table_and_reports_two_stages(terminal: Terminal) -> None:
    terminal.write("issue_panel", "macro", "licensing", licensing=True)
    done = terminal("forge", "parity")
    assert done.code == 0
    assert done.err == ""
    assert "stage 'connect'" in done.out
    assert "stage 'forge'" in done.out
    assert "needs permission  webhook page_removed → avi:confluence:deleted:page [D]" in done.out
    assert "not confirmed" in done.out
    assert max(map(len, done.out.splitlines())) <= 110


def test_parity_of_one_plugin_has_no_other(terminal: Terminal) -> None:
    terminal.write("issue_panel", "macro")
    assert {row["plugin"] for row in rows(terminal, "macro")} == {"macro"}
    assert {row["plugin"] for row in rows(terminal)} == {"macro", "issue_panel", "add-on"}


@pytest.mark.parametrize(
    ("stage", "words", "stages"),
    [
        ("connect", [], {"connect", "forge"}),
        ("hybrid", [], {"hybrid", "forge"}),
        ("forge", [], {"forge"}),
        ("connect", ["--stage", "hybrid"], {"hybrid"}),
        ("forge", ["--stage", "connect"], {"connect"}),
    ],
)
def test_parity_reports_the_configured_stage_and_the_last(
    terminal: Terminal, stage: str, words: list[str], stages: set[str]
) -> None:
    terminal.write("macro", more=f'{FORGE}stage = "{stage}"\n')
    assert {row["stage"] for row in rows(terminal, *words)} == stages


def test_parity_fails_for_a_loss_that_is_not_accepted(terminal: Terminal) -> None:
    terminal.write("leaver")
    assert terminal("forge", "parity", "--stage", "connect").code == 1
    terminal.write("leaver", more=f'{FORGE}accepted_losses = ["leaver addon_disabled"]\n')
    done = terminal("forge", "parity", "--stage", "connect")
    assert (done.code, done.err) == (0, "")
    assert "lost (accepted)" in done.out
    assert "1 lost, 1 of them accepted" in done.out
    assert terminal("forge", "parity").code == 1
    terminal.write("leaver", more=f'{FORGE}accepted_losses = ["leaver addon_disabled", "leaver leaver-report"]\n')
    assert terminal("forge", "parity").code == 0
    assert [row["accepted"] for row in rows(terminal) if row["verdict"] == "lost"] == [True, True, True]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("leaver addon_disable", "did you mean 'leaver addon_disabled'"),
        ("leaver leaver_report", "did you mean 'leaver leaver-report'"),
        ("macro addonkit-poll", "which no enabled plugin has"),
        ("leaver READ", "which is lost at no stage; remove it"),
    ],
)
def test_accepted_loss_that_matches_nothing_is_a_warning(terminal: Terminal, entry: str, sentence: str) -> None:
    terminal.write("leaver", more=f'{FORGE}accepted_losses = ["{entry}"]\n')
    done = terminal("forge", "parity", "--json")
    assert sentence in done.err
    assert done.err.startswith("warning: [forge] accepted_losses names '")
    assert orjson.loads(done.out)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("macr", "no plugin 'macr' is enabled; did you mean 'macro'"),
        ("x", "no plugin 'x' is enabled; enabled are macro"),
        ("issue_panel", "plugin 'issue_panel' is installed but not enabled; add it to [addon] plugins"),
    ],
)
def test_plugin_that_is_not_enabled_is_refused(terminal: Terminal, name: str, sentence: str) -> None:
    terminal.write("macro")
    assert terminal("forge", "parity", name).sentence.startswith(sentence)


def test_plugin_that_is_skipped_is_refused_with_its_reason(terminal: Terminal) -> None:

    terminal.write("macro", "leaver", on_plugin_error="skip")
    (terminal.directory / "addonkit_leaver.py").write_text("raise ValueError('broken')\n")
    assert terminal("forge", "parity", "leaver").sentence.startswith("plugin 'leaver' is skipped: ")
    done = terminal("forge", "parity")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("warning: plugin 'leaver' is skipped and not in this report: ")


def test_plugin_with_nothing_for_the_host_is_reported_as_such(terminal: Terminal) -> None:
    terminal.write("macro", "sandbox")
    assert "nothing: no module" in terminal("forge", "parity", "sandbox").out


@pytest.mark.parametrize("word", ["--stage=nowhere", "--nothing", "a b"])
def test_usage_error_has_exit_code_2_or_a_sentence(terminal: Terminal, word: str) -> None:
    terminal.write("macro")
    assert terminal("forge", "parity", *word.split(), "c").code == 2
