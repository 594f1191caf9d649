"""Which jobs are meant, as a condition of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from addonkit.database.sql import placeholders
from addonkit.work import JobKind, JobState


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are meant; what is None or empty narrows nothing.

    Attributes:
        ids: Their numbers.
        plugin: Whose.
        name: Which of that plugin's.
        names: Pairs of plugin and name, any of them.
        kind: Where they come from.
        states: Where they stand, any of them.
        tenant_id: Number of their site; 0 is the deployment.
        since: Put into the queue from this moment on, Unix time in seconds.
        error: Their error has this in it, in any case.
        above: Their number is larger.
        up_to: Their number is not larger.
    """

    ids: tuple[int, ...] = ()
    plugin: str | None = None
    name: str | None = None
    names: tuple[tuple[str, str], ...] | None = None
    kind: JobKind | None = None
    states: tuple[JobState, ...] = ()
    tenant_id: int | None = None
    since: float | None = None
    error: str | None = None
    above: int | None = None
    up_to: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values. States are written out, for indexes lie on the rows of one state."""
        parts, values = ["1 = 1"], list[Any]()
        for column, wanted in (
            ("j.plugin = ?", self.plugin),
            ("j.name = ?", self.name),
            ("j.kind = ?", None if self.kind is None else str(self.kind)),
            ("j.tenant_id = ?", self.tenant_id),
            ("j.created_at >= ?", self.since),
            ("lower(j.error) LIKE ? ESCAPE '!'", None if self.error is None else _like(self.error)),
            ("j.id > ?", self.above),
            ("j.id <= ?", self.up_to),
        ):
            if wanted is not None:
                parts.append(column)
                values.append(wanted)
        if self.ids:
            parts.append(f"j.id IN ({placeholders(len(self.ids))})")
            values += self.ids
        if self.names is not None:
            pairs = " OR ".join(["(j.plugin = ? AND j.name = ?)"] * len(self.names))
            parts.append(f"({pairs or '1 = 0'})")
            values += [word for pair in self.names for word in pair]
        if self.states:
            parts.append(_state_in("j.state", self.states))
        return " AND ".join(parts), values


def written(states: Sequence[JobState]) -> str:
    """States as a statement lists them."""
    return ", ".join(f"'{state}'" for state in states)


def _state_in(column: str, states: Sequence[JobState]) -> str:
    if len(states) == 1:
        return f"{column} = '{states[0]}'"
    return f"{column} IN ({written(states)})"


def _like(text: str) -> str:
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text.lower()}%"
