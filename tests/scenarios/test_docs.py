"""What the documentation shows is what happens: its examples are written to files and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def files_in(page):
    """The files that a page shows, by name."""
    return dict(FILE.findall((ROOT / page).read_text()))


@pytest.fixture(scope="module")
def shown():
    return files_in("README.md")


@pytest.fixture
def plugin(shown, tmp_path):
    """The README's plugin, as an installed distribution would look."""
    for name, text in shown.items():
        if name != "addon.toml":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    info = tmp_path / "addonkit_greeting-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: addonkit-greeting\nVersion: 1.0.0\n")
    (info / "entry_points.txt").write_text("[addonkit]\ngreeting = addonkit_greeting:plugin\n")
    return tmp_path


def python(folder, *words):
    """Run a module of Python's in a folder whose distributions are installed."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_the_plugin_of_the_readme_passes_its_own_test(plugin):
    done = python(plugin, "pytest", "-q", "tests")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_with_rows_passes_its_own_test_once_its_migration_is_made(plugin):
    for name, text in files_in("docs/plugins.md").items():
        (plugin / name).parent.mkdir(parents=True, exist_ok=True)
        (plugin / name).write_text(text)
    made = python(plugin, "addonkit", "makemigrations", "greeting")
    assert made.stdout == "wrote addonkit_greeting/migrations/0001_initial.py\n", made.stderr
    done = python(plugin, "pytest", "-q", "tests/test_waves.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert python(plugin, "addonkit", "greeting", "about").stdout == "Says 'Hello' on issues\n"


def test_the_tests_that_the_page_on_tests_shows_pass(plugin):
    handler, tests = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/testing.md").read_text(), re.M | re.S)
    with (plugin / "addonkit_greeting" / "__init__.py").open("a") as package:
        package.write(f"\n\n{handler}")
    with (plugin / "tests" / "test_greeting.py").open("a") as file:
        file.write(f"\n\n{tests}")
    done = python(plugin, "pytest", "-q", "tests")
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_deployment_of_the_readme_is_a_good_one(shown, tmp_path):
    key = subprocess.check_output([sys.executable, "-m", "addonkit", "keys", "new"], text=True).strip()
    (tmp_path / "addon.toml").write_text(shown["addon.toml"].replace("<id>:<base64>", key))
    done = subprocess.run(
        [sys.executable, "-m", "addonkit", "check", "--offline"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "issue_panel, licensing, macro" in done.stdout


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_a_link_leads_to_a_file_that_is_there(page):
    folder = (ROOT / page).parent
    assert [link for link in LINK.findall((ROOT / page).read_text()) if not (folder / link).exists()] == []


def test_every_setting_is_in_the_readmes_deployment(shown):
    from addonkit.settings import Settings

    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name != "plugin"}
    missing = [
        f"[{name}] {key}"
        for name, section in sections.items()
        for key in section.model_fields
        if not re.search(rf"^(# )?{key} = ", shown["addon.toml"].partition(f"[{name}]")[2], re.MULTILINE)
    ]
    assert missing == []


def test_the_changelog_has_its_unreleased_part_at_the_top():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
