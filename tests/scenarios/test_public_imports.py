"""Plugins import public names only: those of ``addonkit``; tests and the sandbox also those of ``addonkit.testing``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import addonkit
import addonkit.testing
import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("plugins", "tests/distributions", "benchmarks/plugin")
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "third_party.py"  # a helper of the runtime's own tests
)
PUBLIC = {"addonkit": frozenset(addonkit.__all__), "addonkit.testing": frozenset(addonkit.testing.__all__)}


def imports_of(source: str) -> Iterator[tuple[str, str | None]]:
    """Each imported name of the runtime with its module; no name is an import of the module itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((one.name, None) for one in node.names if one.name.partition(".")[0] == "addonkit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "addonkit":
            yield from ((node.module or "", one.name) for one in node.names)


def is_public(module: str, name: str | None, *, with_testing: bool) -> bool:
    if module == "addonkit.testing" and not with_testing:
        return False
    if name == "testing" and module == "addonkit":
        return with_testing
    return module in PUBLIC and (name is None or name in PUBLIC[module])


def private_imports(source: str, *, with_testing: bool) -> list[str]:
    return [
        module if name is None else f"{module}.{name}"
        for module, name in imports_of(source)
        if not is_public(module, name, with_testing=with_testing)
    ]


@pytest.mark.parametrize("file", FILES)
def test_plugin_imports_public_names_only(file: str) -> None:
    parts = Path(file).parts
    with_testing = parts[0] == "plugins" and ("tests" in parts or "addonkit_sandbox" in parts)
    assert private_imports((ROOT / file).read_text(encoding="utf-8"), with_testing=with_testing) == []


@pytest.mark.parametrize(
    "line",
    [
        "from addonkit.context import Tenant",
        "from addonkit import hostapi",
        "from addonkit import *",
        "import addonkit.jobs.queue",
        "from addonkit.testing import Host",
        "from addonkit import testing",
        "def f():\n    from addonkit.work import queue",
    ],
)
def test_private_import_is_found(line: str) -> None:
    assert len(private_imports(line, with_testing=False)) == 1


@pytest.mark.parametrize("line", ["from addonkit.testing.rest import RestApi", "from addonkit.testing import fixtures"])
def test_private_import_from_testing_is_found(line: str) -> None:
    assert len(private_imports(line, with_testing=True)) == 1


@pytest.mark.parametrize("line", ["from addonkit import Plugin, Tenant", "import addonkit", "import addonkit_macro"])
def test_public_import_is_accepted(line: str) -> None:
    assert private_imports(line, with_testing=False) == []


def test_public_imports_cover_every_plugin() -> None:
    assert {Path(file).parts[1] for file in FILES if file.startswith("plugins/")} == {
        path.name for path in (ROOT / "plugins").iterdir() if path.is_dir()
    }
