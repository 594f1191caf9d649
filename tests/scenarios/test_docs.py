"""The documentation: its examples are written to files and run, and its links lead somewhere."""

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
    """Return the files that a page shows, by name."""
    return dict(FILE.findall((ROOT / page).read_text()))


@pytest.fixture(scope="module")
def shown():
    return files_in("README.md")


@pytest.fixture
def plugin(shown, tmp_path):
    """The README's plugin in a folder, with the metadata of an installed distribution."""
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
    """Run a Python module in a folder whose distributions are installed."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_readme_plugin_equals_the_files_in_examples(shown):
    folder = ROOT / "examples" / "greeting"
    files = [path for path in folder.rglob("*") if path.suffix in (".py", ".html", ".svg", ".toml")]
    found = {str(path.relative_to(folder)): path.read_text() for path in files}
    assert {**found, "addon.toml": None} == {**shown, "addon.toml": None}


def test_readme_plugin_passes_its_own_tests(plugin):
    done = python(plugin, "pytest", "-q", "tests")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_plugin_with_rows_passes_its_own_tests_once_its_migration_is_made(plugin):
    for name, text in files_in("docs/plugins.md").items():
        (plugin / name).parent.mkdir(parents=True, exist_ok=True)
        (plugin / name).write_text(text)
    made = python(plugin, "addonkit", "makemigrations", "greeting")
    assert made.stdout == "wrote addonkit_greeting/migrations/0001_initial.py\n", made.stderr
    done = python(plugin, "pytest", "-q", "tests/test_waves.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert python(plugin, "addonkit", "greeting", "about").stdout == "Says 'Hello' on issues\n"


def test_plugin_with_an_index_without_the_tenant_is_warned_as_the_page_shows(plugin):
    for name, text in files_in("docs/plugins.md").items():
        (plugin / name).parent.mkdir(parents=True, exist_ok=True)
        (plugin / name).write_text(text)
    models = plugin / "addonkit_greeting" / "models.py"
    text = models.read_text().replace("max_length=64", "max_length=64, db_index=True")
    models.write_text(re.sub(r"\n *indexes = .*|\n.*import Index", "", text))
    page = (ROOT / "docs/plugins.md").read_text()
    shown = page.partition("```\naddonkit: warning: ")[2].partition("\n```")[0].replace("\n", " ")
    made = python(plugin, "addonkit", "makemigrations", "greeting")
    assert (made.returncode, made.stderr) == (0, f"addonkit: warning: {shown}\n")
    checked = " ".join(python(plugin, "addonkit", "check", "--offline").stdout.split())
    assert shown in checked


def test_plugin_that_cleans_up_passes_its_own_tests_once_its_migration_is_made(plugin):
    for name, text in files_in("docs/content.md").items():
        (plugin / name).parent.mkdir(parents=True, exist_ok=True)
        (plugin / name).write_text(text)
    made = python(plugin, "addonkit", "makemigrations", "greeting")
    assert made.stdout == "wrote addonkit_greeting/migrations/0001_initial.py\n", made.stderr
    done = python(plugin, "pytest", "-q", "tests/test_notes.py")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_example_of_a_route_with_pages_is_accepted():
    text = (ROOT / "docs/plugins.md").read_text().partition("## Which page may call a route")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    names = {"__name__": __name__}
    exec(code, names)
    names["plugin"].check()


def test_testing_page_shows_tests_that_pass(plugin):
    handler, tests = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/testing.md").read_text(), re.M | re.S)
    with (plugin / "addonkit_greeting" / "__init__.py").open("a") as package:
        package.write(f"\n\n{handler}")
    with (plugin / "tests" / "test_greeting.py").open("a") as file:
        file.write(f"\n\n{tests}")
    done = python(plugin, "pytest", "-q", "tests")
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_readme_deployment_passes_the_check(shown, tmp_path):
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
def test_links_lead_to_existing_files(page):
    folder = (ROOT / page).parent
    assert [link for link in LINK.findall((ROOT / page).read_text()) if not (folder / link).exists()] == []


def test_readme_deployment_has_every_setting(shown):
    from addonkit.settings import Settings
    from addonkit.settings.messages import model_of

    sections = {name: model_of(field.annotation) for name, field in Settings.model_fields.items() if name != "plugin"}
    missing = [
        f"[{name}] {key}"
        for name, section in sections.items()
        for key in section.model_fields
        if not re.search(rf"^(# )?{key} = ", shown["addon.toml"].partition(f"[{name}]")[2], re.MULTILINE)
    ]
    assert missing == []


def test_changelog_starts_with_the_unreleased_section():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
