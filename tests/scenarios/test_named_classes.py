"""Messages, pages of documentation and public docstrings name no class that their reader cannot import.

A class is named by a word in CamelCase with two capitals, such as ``TenantModel``, and by a quoted word with one, such
as 'Plugin'. Names of Python, of libraries that plugins use and of the host are accepted.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import addonkit
import addonkit.testing
import click
import httpx2
import pydantic
import pytest
import quart
import tortoise
import tortoise.exceptions
import tortoise.fields
import tortoise.manager
import tortoise.migrations
import tortoise.migrations.operations
import tortoise.models
import werkzeug.exceptions
from addonkit.extension import hookspecs

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "runtime" / "addonkit").rglob("*.py"))
# Pages for contributors, who read the code itself, and lists of what changed.
INTERNAL = {"architecture.md", "upgrading.md", "performance.md"}
PAGES = sorted(page for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"] if page.name not in INTERNAL)
OUR_CLASSES = {
    node.name
    for path in SOURCES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}
PUBLIC = {*addonkit.__all__, *addonkit.testing.__all__}
LIBRARIES: tuple[ModuleType, ...] = (
    asyncio,
    builtins,
    click,
    httpx2,
    pydantic,
    quart,
    tortoise,
    tortoise.exceptions,
    tortoise.fields,
    tortoise.manager,
    tortoise.migrations,
    tortoise.migrations.operations,
    tortoise.models,
    werkzeug.exceptions,
)
ALLOWED = PUBLIC | {name for library in LIBRARIES for name in dir(library)} | {"Meta"}
"""What a plugin's author can import, and Tortoise's class inside a model."""
QUOTED = re.compile(r"(?<![\w./-])(['`]{1,2})([A-Z][A-Za-z]+)(?:\(…?\))?\1(?![\w])")
CAMEL = re.compile(r"(?<![\w./#-])[A-Z][a-z]+(?:[A-Z][a-z]+)+(?![\w-])")


def unknown_names(text: str) -> set[str]:
    """Return the classes of addonkit that a text names and that are not public."""
    named = {found[2] for found in QUOTED.finditer(text)} | set(CAMEL.findall(text))
    return {name for name in named if name in OUR_CLASSES and name not in ALLOWED}


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a module that are no docstrings, with their lines; parts of an f-string are joined."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    left_out |= {id(part) for node in joined for part in node.values}
    texts = [(node, "…".join(part.value for part in node.values if isinstance(part, ast.Constant))) for node in joined]
    texts += [
        (node, node.value)
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out
    ]
    # A single word is a key or the name of a type.
    yield from ((node.lineno, text) for node, text in texts if " " in text)


def public_docstrings() -> Iterator[tuple[str, str]]:
    """Yield the docstrings that a plugin's author reads: of the public names with their methods, and of the hooks."""
    named = [(module, name) for module in (addonkit, addonkit.testing) for name in module.__all__]
    hooks = [(hookspecs, name) for name in vars(hookspecs) if name.startswith("addon_")]
    for module, name in [*named, *hooks]:
        value = getattr(module, name)
        yield name, inspect.getdoc(value) or ""
        for member, inner in vars(value).items() if inspect.isclass(value) else ():
            if not member.startswith("_") and (callable(inner) or isinstance(inner, property)):
                yield f"{name}.{member}", inspect.getdoc(inner) or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_message_names_no_class_that_is_not_public(path: Path) -> None:
    found = [f"line {line}: {names} in {text!r}" for line, text in messages(path) if (names := unknown_names(text))]
    assert not found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_no_class_that_is_not_public(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    found = [f"line {number}: {names}" for number, line in enumerate(lines, 1) if (names := unknown_names(line))]
    assert not found


def test_public_docstring_names_no_class_that_is_not_public() -> None:
    found = {name: names for name, text in public_docstrings() if (names := unknown_names(text))}
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "derive it from 'TenantManager'",
        "a plugin raised `Refused`",
        "raise ``TokenInvalid``, as the edge does",
        "call JobQueue yourself",
        "expected a 'Contribution'",
        "use `HookManager(…)` instead",
    ],
)
def test_name_that_is_not_public_is_found(text: str) -> None:
    assert len(unknown_names(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "derive it from 'TenantModel'",
        "Host calls go to the site",
        "Refused requests are logged",
        "a `RuntimeError` of a `ForeignKeyField`",
        "a GitHub or a PostgreSQL server",
        "the header X-Forwarded-For and a `Retry-After`",
    ],
)
def test_public_name_and_ordinary_word_are_accepted(text: str) -> None:
    assert unknown_names(text) == set()
