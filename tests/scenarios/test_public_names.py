"""Every public name is documented: hooks on a page of their own, all others in the pages or the READMEs."""

from __future__ import annotations

import re
from pathlib import Path

import addonkit
import addonkit.testing
import pytest

ROOT = Path(__file__).parent.parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PLUGIN_METHODS = sorted(
    name
    for one in (addonkit.Plugin, *addonkit.Plugin.__mro__)
    if one.__module__.startswith("addonkit.")
    for name, value in vars(one).items()
    if callable(value) and not name.startswith(("_", "addon_")) and name not in ("add_url_rule", "check")
)


def test_public_names_are_sorted_and_unique() -> None:
    for module in (addonkit, addonkit.testing):
        assert list(module.__all__) == sorted(set(module.__all__))


@pytest.mark.parametrize("name", addonkit.__all__)
def test_public_name_is_documented_and_exists(name: str) -> None:
    assert getattr(addonkit, name) is not None
    assert re.search(rf"`{name}`", REFERENCE), f"add '{name}' to docs/reference.md"


@pytest.mark.parametrize("name", addonkit.testing.__all__)
def test_public_name_of_testing_is_documented_and_exists(name: str) -> None:
    assert getattr(addonkit.testing, name) is not None
    assert re.search(rf"`{name}`", REFERENCE.partition("## Tests")[2]), f"add '{name}' to docs/reference.md"


@pytest.mark.parametrize("name", sorted(set(PLUGIN_METHODS)))
def test_plugin_method_is_documented(name: str) -> None:
    assert re.search(rf"`{name}`", REFERENCE), f"add 'Plugin.{name}' to docs/reference.md"


def test_reference_names_nothing_that_is_not_public() -> None:
    first_cells = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", REFERENCE)
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert named - {*addonkit.__all__, *addonkit.testing.__all__, *PLUGIN_METHODS} == set()
