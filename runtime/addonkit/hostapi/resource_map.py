"""A map from the resources of a host's REST API to facts about them: a tree of path templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

V = TypeVar("V")


@dataclass(slots=True)
class _Node(Generic[V]):
    """One part of a path: the parts that may follow it, and the values of the resources that end here, by method."""

    named: dict[str, _Node[V]] = field(default_factory=dict)
    placeholder: _Node[V] | None = None
    ends: dict[str, V] = field(default_factory=dict)


class ResourceMap(Generic[V]):
    """Values by path template and method; a path is looked up as the host routes it."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node()

    def add(self, template: str, method: str, value: V) -> None:
        """Add a resource.

        Args:
            template: Its path; parts such as ``{issueIdOrKey}`` match any part.
            method: In upper case.
            value: What is returned for it.
        """
        node = self._root
        for part in template.strip("/").split("/"):
            if part.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.named.setdefault(part.lower(), _Node())
        node.ends[method] = value

    def find(self, path: str, method: str) -> V | None:
        """Return the value of a resource; None if it is not in the map.

        A server may or may not decode an escaped slash. The path is looked up decoded first, then as it is written.
        """
        parts = [unquote(part) for part in path.strip("/").split("/")]
        split = "/".join(parts).split("/")
        found = _find(self._root, normalize(split), method)
        return _find(self._root, normalize(parts), method) if found is None else found


def normalize(parts: list[str]) -> list[str]:
    """Return the parts of a path as the host routes it: without matrix parameters, in lower case, in version 3."""
    plain = [part.partition(";")[0].lower() for part in parts if part]
    if plain[:2] == ["rest", "api"] and plain[2:3] in (["2"], ["latest"]):
        plain[2] = "3"
    return plain


def _find(node: _Node[V], parts: list[str], method: str) -> V | None:
    """Look a path up; names take precedence over placeholders."""
    if not parts:
        return node.ends.get(method)
    for child in (node.named.get(parts[0]), node.placeholder):
        if child is not None and (found := _find(child, parts[1:], method)) is not None:
            return found
    return None
