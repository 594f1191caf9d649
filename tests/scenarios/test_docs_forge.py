"""docs/forge.md: what it shows is what the commands print for examples/team-kit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.distributions.third_party import run

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "forge.md").read_text(encoding="utf-8")
SETTINGS = re.search(r"^( *)```toml\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
BASE_URL = {"ADDONKIT_ADDON__BASE_URL": "https://kit.example.com"}


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """Return a folder with the example's configuration and the page's ``[forge]``, after ``forge register``."""
    assert SETTINGS
    example = (ROOT / "examples" / "team-kit" / "addon.toml").read_text(encoding="utf-8")
    (tmp_path / "addon.toml").write_text(f"{example}\n{SETTINGS[2]}".replace("\n   ", "\n"), encoding="utf-8")
    app_id = re.search(r'app_id = "(.*?)"', SETTINGS[2])
    assert app_id
    (tmp_path / "forge").mkdir()
    (tmp_path / "forge" / "manifest.yml").write_text(f"app:\n  id: {app_id[1]}\n", encoding="utf-8")
    return tmp_path


def test_manifest_is_made_as_the_page_shows(kit: Path) -> None:
    [(command, printed)] = re.findall(r"^\$ addonkit (forge manifest .*)\n((?:.+\n)+?)```$", PAGE, re.MULTILINE)
    result = run(kit, *command.split(), **BASE_URL)
    assert (result.code, result.err, result.out) == (0, "", printed)
    [excerpt] = re.findall(r"^```yaml\n(  jira:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert excerpt in (kit / "forge" / "manifest.yml").read_text(encoding="utf-8")


def test_manifest_of_a_deployment_on_this_machine_is_printed_with_the_variable(kit: Path) -> None:
    assert run(kit, "forge", "manifest").sentence.endswith("set ADDONKIT_ADDON__BASE_URL")
    assert "ADDONKIT_ADDON__BASE_URL=https://kit.example.com addonkit forge manifest" in PAGE
    assert run(kit, "forge", "manifest", **BASE_URL).code == 0


def test_check_prints_what_the_page_shows(kit: Path) -> None:
    plugins, file = re.findall(r"^\$ addonkit (forge check.*)\n((?:.+\n)+?)```$", PAGE, re.MULTILINE)
    assert run(kit, "forge", "manifest", "--out", "forge", **BASE_URL).code == 0
    assert run(kit, *plugins[0].split(), **BASE_URL).out == plugins[1]
    manifest = kit / "forge" / "manifest.yml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("- read:connect-jira", "- READ"), encoding="utf-8")
    result = run(kit, *file[0].split(), **BASE_URL)
    assert (result.code, result.out.replace(f"{kit}/", "")) == (1, file[1])
