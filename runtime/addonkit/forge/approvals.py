"""What administrators must approve when one manifest replaces another, or the published descriptor.

The differences are found in ``differences``; the rules about them, with their sources, are in ``approvals.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from addonkit.errors import ManifestInvalid
from addonkit.forge.counterparts import Note
from addonkit.forge.data import read_data
from addonkit.forge.differences.app import app_differences
from addonkit.forge.differences.difference import Difference
from addonkit.forge.differences.first_move import first_differences, is_descriptor
from addonkit.forge.differences.modules import module_differences, other_differences, provider_differences
from addonkit.forge.differences.permissions import permission_differences
from addonkit.forge.differences.remotes import remote_differences
from addonkit.text import shortened


class Impact(StrEnum):
    """What a change means for the sites that have the app, from least to most."""

    NONE = "none"
    AUTOMATIC = "automatic"
    APPROVAL = "approval"
    """An administrator of each site must approve the version; until then the site stays on its own."""
    REFUSED = "refused"


WORST = tuple(Impact)
_LONGEST = 500
"""Characters of a change in a message; a manifest of others can have texts of any length."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two documents.

    Attributes:
        document: The manifest, or the Connect descriptor.
        name: Its name for messages.
        plugin_at: Returns the plugin whose part a place is, by JSON pointer; None where nothing says so.
        line_of: Returns the line of a place; None without a file.
    """

    document: dict[str, Any]
    name: str
    plugin_at: Callable[[str], str | None] = lambda _: None
    line_of: Callable[[str], int | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference with its rule.

    Attributes:
        rule: The rule's name.
        impact: What it means.
        text: What changed, by the rule.
        what: What exactly.
        note: What to know besides; empty for nothing.
        plugin: The plugin whose part changed; None if nothing says so.
        where: The file and the line; empty without one.
        sources: Marks of the rule's sources.
        source: The page or program that the rule comes from; empty for none.
    """

    rule: str
    impact: Impact
    text: str
    what: str
    note: str
    plugin: str | None
    where: str
    sources: tuple[str, ...]
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values with stable names."""
        return {
            "rule": self.rule,
            "impact": self.impact.value,
            "text": self.text,
            "what": self.what,
            "note": self.note,
            "plugin": self.plugin,
            "where": self.where,
            "sources": list(self.sources),
            "source": self.source,
            "confirmed": self.fact.is_confirmed(),
        }

    @property
    def fact(self) -> Note:
        """The rule's sentence with what exactly changed."""
        return Note(f"{self.text}: {self.what}" if self.what else self.text, self.sources)


def compare(old: Side, new: Side) -> tuple[Change, ...]:
    """Return the changes from one document to another, those with the largest impact first.

    Args:
        old: A manifest, or the published Connect descriptor.
        new: A manifest.

    Raises:
        ManifestInvalid: The newer one is a Connect descriptor.
    """
    if is_descriptor(new.document):
        raise ManifestInvalid(f"'{new.name}' is a Connect descriptor, expected a manifest; name the manifest last")
    is_first = is_descriptor(old.document)
    rules = read_data("approvals")["first_move" if is_first else "rules"]
    found = first_differences(old.document, new.document) if is_first else _differences(old.document, new.document)
    changes = [_change(rules[one.rule], one, old if one.is_removed else new) for one in found]
    return tuple(sorted(changes, key=lambda change: -WORST.index(change.impact)))


def verdict_of(changes: Iterable[Change]) -> Impact:
    """Return the largest impact of the changes; none without changes."""
    return max((change.impact for change in changes), key=WORST.index, default=Impact.NONE)


def _differences(old: Any, new: Any) -> Iterator[Difference]:
    parts = (
        app_differences,
        permission_differences,
        remote_differences,
        provider_differences,
        module_differences,
        other_differences,
    )
    for part in parts:
        yield from part(old, new)


def _change(rule: dict[str, Any], difference: Difference, side: Side) -> Change:
    line = side.line_of(difference.pointer) if difference.pointer else None
    return Change(
        rule=difference.rule,
        impact=Impact(rule["impact"]),
        text=rule["text"],
        what=shortened(difference.what, _LONGEST),
        note=rule.get("note", ""),
        plugin=side.plugin_at(difference.pointer),
        where=f"{side.name}:{line}" if line else "",
        sources=tuple(rule["sources"]),
        source=rule.get("where", ""),
    )
