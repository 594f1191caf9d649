"""Rejects words that the glossary replaces, in code, documentation, templates and tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".toml", ".service", ".yaml", ".conf"}
# Data of others, what a program wrote, old names, and this list itself.
EXCLUDED = (
    "LICENSE",
    "docs/upgrading.md",
    "package",
    "requirements.lock",
    "runtime/addonkit/tenancy/migrations/",
    "tests/test_language.py",
    "tests/upgrades/",
    "tests/vectors/",
)

# Letters alone end a word here, so that `_told` and `told_of` are found as well.
REJECTED = {
    r"told": "log, print, notify, return or name",
    r"mend(s|ed|ing)?": "fix",
    r"(leave|leaves|leaving|left) (\S+ ){0,2}away": "omit",
    r"spending": "replay protection, or use",
    r"of chance": "random",
    r"wants? an?": "needs",
    r"looks? whether": "check whether",
    r"heed(s|ed|ing)?": "handle, or obey",
    r"rhythms?": "schedule, interval",
    r"rosters?": "list",
    r"bells?": "wake-up",
    r"deaf": "disconnected",
    r"stumbl(e|es|ed)": "fail",
    r"(?<![Tt]here )(?:is|are) no (?!longer|more|less|other|such|way|reason)\w+ (of|that|and|but)": "is not a …",
    r"a site of (Jira|Confluence)": "a Jira site",
    r"certificate (has )?ended": "expired",
}


def files() -> list[Path]:
    """Give every text file of the project that people read or edit."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = listed.splitlines() or [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]
    return [ROOT / name for name in names if Path(name).suffix in SUFFIXES and not name.startswith(EXCLUDED)]


def found_in(text: str, pattern: str) -> list[tuple[int, str]]:
    """Give the numbers and text of the lines in which a pattern stands as a word."""
    word = re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", re.IGNORECASE)
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if word.search(line)]


@pytest.mark.parametrize(("pattern", "instead"), REJECTED.items())
def test_language_uses_the_words_of_the_field(pattern: str, instead: str) -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {line[:120]}"
        for path in files()
        if path.is_file()
        for number, line in found_in(path.read_text(encoding="utf-8"), pattern)
    ]
    assert not faults, f"write '{instead}' in place of /{pattern}/:\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"told", "the plugin is told of it"),
        (r"told", "def _told(cause):"),
        (r"mend(s|ed|ing)?", "3 things to mend"),
        (r"(leave|leaves|leaving|left) (\S+ ){0,2}away", "leave --offline away"),
        (r"wants? an?", "the key wants a password"),
        (r"looks? whether", "Looks whether it is there"),
    ],
)
def test_language_check_finds_a_rejected_word(pattern: str, text: str) -> None:
    assert found_in(f"first line\n{text}\n", pattern) == [(2, text)]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"told", "controlled"),
        (r"mend(s|ed|ing)?", "recommended, amended"),
        (r"bells?", "labels"),
        (r"spending", "suspending"),
    ],
)
def test_language_check_passes_words_that_only_contain_one(pattern: str, text: str) -> None:
    assert found_in(text, pattern) == []
