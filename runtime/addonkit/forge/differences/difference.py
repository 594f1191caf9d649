"""``Difference``: one place at which two manifests differ, and the rule that decides what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.forge.findings import shown


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        rule: The name of its rule in ``approvals.json``.
        what: What differs, for a message, such as ``write:connect-jira`` or ``remote 'connect': 'a' → 'b'``.
        pointer: Its place, as a JSON pointer in the newer manifest.
        is_removed: Whether the newer manifest has no such place any more; the pointer is then of the older one.
    """

    rule: str
    what: str
    pointer: str
    is_removed: bool = False


def step(old: Any, new: Any) -> str:
    """Return two values for a message: ``'a' → 'b'``."""
    return f"{shown(old)} → {shown(new)}"


def pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each name whose value differs between two mappings, with both values; None where one has no such name."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or type(old.get(name)) is not type(new.get(name)):
            yield name, old.get(name), new.get(name)


def only(names: Iterable[str], *excluded: str) -> list[str]:
    """Return names without those that are excluded, sorted."""
    return sorted(set(names) - set(excluded))
