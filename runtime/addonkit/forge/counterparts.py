"""What takes the place of a module or a webhook on Forge, by the packaged tables; the tables name their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.context import Product
from addonkit.forge.data import read_data


@dataclass(frozen=True, slots=True)
class Note:
    """One fact, with the marks of its sources.

    Attributes:
        text: A clause without a full stop.
        sources: Marks of the sources, see ``marks.json``.
    """

    text: str
    sources: tuple[str, ...]

    def is_confirmed(self) -> bool:
        """Return whether one of the sources is more than general knowledge."""
        marks = read_data("marks")["marks"]
        return any(marks[mark]["is_confirmed"] for mark in self.sources)

    def __str__(self) -> str:
        return f"{self.text} {self.marks}"

    @property
    def marks(self) -> str:
        """Its marks in brackets; general knowledge alone is called not confirmed."""
        return f"[{' '.join(self.sources)}{'' if self.is_confirmed() else ', not confirmed'}]"


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What takes the place of a module or a webhook.

    Attributes:
        names: Names of Forge modules or events, any of which may fit; for events, all of which are needed.
        how: ``direct``, ``caveat``, ``redesign`` or ``none``, see ``modules.json``.
        notes: What else changes.
        scopes: Scopes that the events need.
        sources: Marks of the pairing's sources, see ``marks.json``.
    """

    names: tuple[str, ...]
    how: str
    notes: tuple[Note, ...]
    scopes: frozenset[str]
    sources: tuple[str, ...]


def module_counterpart(type_name: str, product: Product, body: Mapping[str, Any]) -> Counterpart | None:
    """Return what takes the place of a module; None for a type that the product is not known to have.

    Args:
        type_name: The module type, such as ``jiraIssueContents``.
        product: The product whose module it is.
        body: The module's fields; some of them change on Forge.
    """
    row = read_data("modules")[product].get(type_name)
    if row is None:
        return None
    notes = notes_of(row, *_fields(row, body))
    return Counterpart(tuple(row["forge"]), row["how"], notes, frozenset(), tuple(row["sources"]))


def event_counterpart(body: Mapping[str, Any], product: Product) -> Counterpart | None:
    """Return what takes the place of a webhook; None for an event that the product is not known to have.

    Args:
        body: The webhook's fields, with its ``event``.
        product: The product that sends it.
    """
    event = str(body.get("event"))
    row = read_data("events")["events"].get(event, {}).get(product)
    if row is None:
        return None
    needed = read_data("event_scopes")
    scopes = {scope for name in row["forge"] for scope in needed.get(name, ())} | set(row.get("scopes", ()))
    missing = [
        entry
        for entry in read_data("event_fields")["missing"]
        if entry["product"] == product and event in entry["events"]
    ]
    lost = [
        {"note": f"without the fields {', '.join(entry['fields'])}", "sources": entry["sources"]} for entry in missing
    ]
    return Counterpart(
        names=tuple(row["forge"]),
        how="direct" if row["forge"] else "none",
        notes=notes_of(row, *lost, *missing, *_fields(read_data("modules")[product]["webhooks"], body)),
        scopes=frozenset(scopes),
        sources=tuple(row["sources"]),
    )


def products_of_event(event: str) -> frozenset[Product]:
    """Return the products that are known to send a webhook for an event; none for an unknown event."""
    return frozenset(read_data("events")["events"].get(event, ()))


def _fields(row: Mapping[str, Any], body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what becomes of those fields of a module that it has."""
    known = {**row.get("fields", {}), **read_data("modules")["any"]}
    return [field for name, field in known.items() if body.get(name)]


def notes_of(*rows: Mapping[str, Any]) -> tuple[Note, ...]:
    """Return the notes of those rows of a table that have one."""
    return tuple(Note(row["note"], tuple(row["sources"])) for row in rows if "note" in row)
