"""The pages about Forge: the generated report, its excerpt, and the days are those of the code and its data."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from addonkit.cli.forge import COMMANDS
from addonkit.cli.group import cli
from addonkit.forge.data import read_data
from click.testing import CliRunner

DOCS = Path(__file__).parent.parent.parent / "docs"
FORGE = (DOCS / "forge.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report() -> str:
    made: str = runpy.run_path(str(DOCS / "make_parity.py"))["report"]()
    return made


def test_parity_page_is_the_report_of_the_three_plugins(report: str) -> None:
    page = (DOCS / "parity.md").read_text(encoding="utf-8")
    assert page == report, "run 'python docs/make_parity.py'"
    assert {"issue_panel", "macro", "licensing"} <= set(re.findall(r"(?m)^[a-z_]+$", page))


def test_excerpt_of_the_report_is_in_the_report(report: str) -> None:
    (excerpt,) = re.findall(r"^\$ addonkit forge parity macro --stage forge\n(.*?)^…$", FORGE, re.M | re.S)
    lines = excerpt.splitlines()
    assert [line for line in lines[1:] if line and line not in report.splitlines()] == []


def test_diff_is_what_the_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADDONKIT_ADDON__BASE_URL", "https://kit.example.com")
    monkeypatch.chdir(tmp_path)
    example = (DOCS.parent / "examples" / "team-kit" / "addon.toml").read_text(encoding="utf-8")
    forge = '[forge]\napp_id = "ari:cloud:ecosystem::app/8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b"\n'
    (tmp_path / "addon.toml").write_text(f"{example}\n{forge}", encoding="utf-8")
    runner = CliRunner()
    assert runner.invoke(cli, ["forge", "manifest", "--out", "forge"], catch_exceptions=False).exit_code == 0
    former = (tmp_path / "forge" / "manifest.yml").read_text(encoding="utf-8")
    present = former.replace("read:connect-confluence", "write:connect-confluence")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "manifest.yml").write_text(present.replace("value: Checklist", "value: Tasks"))
    [(command, printed)] = re.findall(r"^\$ addonkit (forge diff .*)\n((?:.+\n)+?)```$", FORGE, re.M)
    done = runner.invoke(cli, command.split(), catch_exceptions=False)
    assert (done.exit_code, done.output) == (3, printed)


@pytest.mark.parametrize("key", ["new-listings", "descriptors", "end-of-support"])
def test_days_are_those_of_the_data(key: str) -> None:
    (day,) = [row["day"] for row in read_data("dates")["dates"] if row["key"] == key]
    assert f"| {day} |" in FORGE


def test_readme_names_the_end_of_support() -> None:
    (day,) = [row["day"] for row in read_data("dates")["dates"] if row["key"] == "end-of-support"]
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    year, month, number = day.split("-")
    names = {day, f"{int(number)} January {year}"} if month == "01" else {day}
    assert any(name in readme for name in names)


def test_every_command_is_documented() -> None:
    assert [name for name in COMMANDS if f"addonkit forge {name}" not in FORGE] == []
