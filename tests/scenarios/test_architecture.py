"""docs/architecture.md names rooms, modules and classes that exist, and every room."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import addonkit
import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = {path.stem for path in Path(addonkit.__file__).parent.iterdir() if path.suffix in ("", ".py")}
ROOMS -= {"__init__", "__main__", "__pycache__", "static"}
DOTTED = sorted(set(re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_]+)`", PAGE)))
NAMES = [name for name in DOTTED if name.partition(".")[0] in ROOMS]


@pytest.mark.parametrize("name", NAMES)
def test_architecture_page_names_what_exists(name: str) -> None:
    words = name.split(".")
    for count in range(len(words), 0, -1):
        try:
            found = import_module("addonkit." + ".".join(words[:count]))
        except ModuleNotFoundError:
            continue
        for word in words[count:]:
            found = getattr(found, word)
        return
    pytest.fail(f"addonkit has no '{name}'")


def test_architecture_page_names_every_room() -> None:
    table = PAGE.partition("## Rooms")[2].partition("\n## ")[0]
    assert ROOMS - set(re.findall(r"`([a-z_]+)`", table)) == set()


def test_architecture_page_names_enough_to_follow() -> None:
    assert len(NAMES) > 30
