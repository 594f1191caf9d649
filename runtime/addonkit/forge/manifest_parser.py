"""Parses a manifest: YAML to JSON values, with the line of each value.

It reads as Forge's own parser does: YAML 1.2 without timestamps, octal numbers or merge keys, and no key twice. The
text may be anybody's: depth and the number of values are bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from addonkit.errors import ManifestInvalid
from addonkit.forge.findings import child
from addonkit.text import shortened, text_of, well_formed

MAX_NODES = 50_000
"""Most values that are read; a few aliases of aliases can stand for billions."""
MAX_DEPTH = 100
"""Most objects and lists inside each other."""

_LONE_CR = re.compile(r"\r(?!\n)")
_LONGEST_NAME = 80
_VALUES: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"(?:null|Null|NULL|~|)"), lambda _text: None),
    (re.compile(r"(?:true|True|TRUE)"), lambda _text: True),
    (re.compile(r"(?:false|False|FALSE)"), lambda _text: False),
    (re.compile(r"[-+]?[0-9]{1,400}"), int),
    (re.compile(r"0o[0-7]{1,400}"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,400}"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)"), lambda text: -math.inf if text.startswith("-") else math.inf),
    (re.compile(r"\.(?:nan|NaN|NAN)"), lambda _text: math.nan),
)
"""YAML 1.2's core schema: how a plain scalar is read; the first match counts, and all other scalars are texts."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest that was read from a file.

    Attributes:
        document: As JSON values.
        path: The file.
        lines: The line of each value by JSON pointer, the first line being 1.
    """

    document: dict[str, Any]
    path: Path
    lines: Mapping[str, int] = field(default_factory=dict)

    def line_of(self, pointer: str) -> int:
        """Return the line of a value, or of the nearest value around it that the file has."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


def parse(text: str, path: Path) -> ManifestFile:
    """Parse a manifest.

    Args:
        text: The YAML.
        path: The file that it comes from, for messages.

    Raises:
        ManifestInvalid: It is not YAML, has a key twice, or holds no object.
    """
    node = _composed(text, path)
    reader = _Reader(path)
    document = reader.value(node, "") if node is not None else None
    if not isinstance(document, dict):
        found = "nothing" if document is None else shortened(text_of(document), 60)
        raise ManifestInvalid(f"{path} holds no manifest: expected an object with 'app', found {found}")
    return ManifestFile(document, path, reader.lines)


def _composed(text: str, path: Path) -> Node | None:
    """Return the tree of YAML nodes; None for an empty text."""
    if lone := _LONE_CR.search(text):
        line = text.count("\n", 0, lone.start()) + 1
        raise ManifestInvalid(f"{path}:{line} has a line that ends with CR alone; save the file with LF or CR LF")
    yaml = YAML(typ="rt", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False  # YAML allows them: the last one counts
    try:
        node: Node | None = yaml.compose(text)
    except MaxDepthExceededError as error:
        line = error.problem_mark.line + 1
        raise ManifestInvalid(f"{path}:{line} nests more than {MAX_DEPTH} objects and lists; write fewer") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ManifestInvalid(f"{path}:{line} is not YAML: {_problem(error)}; correct it") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ManifestInvalid(f"{path} is not YAML: {_problem(error)}; correct it") from None
    return node


class _Reader:
    """Turns YAML nodes into JSON values and records their lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: set[int] = set()
        self._count = 0
        self.lines: dict[str, int] = {}

    def value(self, node: Node, pointer: str) -> Any:
        self._count += 1
        self.lines.setdefault(pointer, node.start_mark.line + 1)
        if len(self._open) > MAX_DEPTH or id(node) in self._open:
            raise self._fault(node, "nests values by aliases without end; write them out")
        if self._count > MAX_NODES:
            raise self._fault(node, f"is beyond {MAX_NODES} values, aliases counted each time; write fewer")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        self._open.add(id(node))
        found = self._object(node, pointer) if isinstance(node, MappingNode) else self._list(node, pointer)
        self._open.discard(id(node))
        return found

    def _list(self, node: Node, pointer: str) -> list[Any]:
        return [self.value(item, child(pointer, place)) for place, item in enumerate(node.value)]

    def _object(self, node: Node, pointer: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                raise self._fault(key, "has a key that is not a text; write a text")
            name = _name(key)
            if name in found:
                shown = shortened(name, _LONGEST_NAME)
                raise self._fault(key, f"has the key '{shown}' a second time in one object; remove one")
            below = child(pointer, name)
            self.lines[below] = key.start_mark.line + 1
            found[name] = self.value(item, below)
        return found

    def _fault(self, node: Node, words: str) -> ManifestInvalid:
        return ManifestInvalid(f"{self._path}:{node.start_mark.line + 1} {words}")


def _name(key: ScalarNode) -> str:
    """Return a key as JavaScript names it: ``0x1`` and ``1`` are one key."""
    value = _scalar(key)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _scalar(node: ScalarNode) -> Any:
    # Escapes can make a pair of surrogates, or half of one.
    text: str = well_formed(node.value)
    if node.style or str(node.tag).endswith(":str"):
        return text
    return next((read_as(text) for pattern, read_as in _VALUES if pattern.fullmatch(text)), text)


def _problem(error: Exception) -> str:
    return shortened(" ".join(str(getattr(error, "problem", None) or error).split()), 200)
