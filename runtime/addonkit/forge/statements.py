"""``Statement``: what becomes of one part of a plugin at one stage, as ``forge parity`` reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from addonkit.forge.counterparts import Note, notes_of
from addonkit.forge.data import read_data
from addonkit.settings.forge_section import Stage

STAGES: tuple[Stage, ...] = ("connect", "hybrid", "forge")
"""The stages in the order in which an add-on goes through them."""
ADDON = "add-on"
"""In place of a plugin's name: the statement is about the whole add-on."""


class Verdict(StrEnum):
    """What becomes of a part, from best to worst."""

    KEPT = "kept"
    CHANGED = "changed"
    PERMISSION = "needs permission"
    """Administrators must approve it, or it works with less."""
    LOST = "lost"


WORST = tuple(Verdict)
_IN_DATA = {"kept": Verdict.KEPT, "changed": Verdict.CHANGED, "permission": Verdict.PERMISSION, "lost": Verdict.LOST}


@dataclass(frozen=True, slots=True)
class Statement:
    """What becomes of one part of a plugin.

    Attributes:
        plugin: The plugin's name, or ``add-on``.
        kind: ``module``, ``webhook``, ``scope``, ``hook``, ``licence`` or ``add-on``.
        name: Its name within the plugin: a module's key, an event, a hook.
        type: A module's type; empty for other kinds.
        stage: The stage.
        verdict: What becomes of it.
        becomes: What takes its place; empty if nothing does.
        sources: Marks of the sources for the verdict, see ``marks.json``.
        scopes: Scopes that it needs beyond those of the plugin, sorted.
        notes: What else changes.
    """

    plugin: str
    kind: str
    name: str
    type: str
    stage: Stage
    verdict: Verdict
    becomes: str
    sources: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def loss(self) -> str:
        """Its name in ``[forge] accepted_losses``."""
        return f"{self.plugin} {self.name}"

    @property
    def fact(self) -> Note:
        """What takes its place, with the marks of the verdict's sources."""
        return Note(self.becomes, self.sources)

    def row(self, *, is_accepted: bool) -> dict[str, Any]:
        """Return it as JSON values with stable names.

        Args:
            is_accepted: Whether the configuration accepts this loss.
        """
        return {
            "stage": self.stage,
            "plugin": self.plugin,
            "kind": self.kind,
            "name": self.name,
            "type": self.type,
            "verdict": self.verdict.value,
            "becomes": self.becomes,
            "scopes": list(self.scopes),
            "notes": [{"text": note.text, "sources": list(note.sources)} for note in self.notes],
            "sources": list(self.sources),
            "confirmed": self.fact.is_confirmed(),
            "accepted": is_accepted,
        }


def stated(row: Mapping[str, Any], stage: Stage, plugin: str, kind: str, name: str) -> Statement | None:
    """Return the statement that a row of ``changes.json`` makes about a stage; None if it makes none.

    A stage that the row lacks is like the stage before it.
    """
    known = [row[one] for one in STAGES[: STAGES.index(stage) + 1] if one in row]
    if not known:
        return None
    fact = known[-1]
    notes = tuple(Note(_with_dates(note.text), note.sources) for note in notes_of(*fact["notes"]))
    return Statement(
        plugin=plugin,
        kind=kind,
        name=name,
        type="",
        stage=stage,
        verdict=_IN_DATA[fact["verdict"]],
        becomes=fact["becomes"],
        sources=tuple(fact["sources"]),
        notes=notes,
    )


def _with_dates(text: str) -> str:
    """Replace the keys of dates in braces by the days."""
    for date in read_data("dates")["dates"]:
        text = text.replace(f"{{{date['key']}}}", date["day"])
    return text
