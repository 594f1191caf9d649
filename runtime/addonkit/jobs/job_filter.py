"""Selects stored jobs by conditions, and writes them as SQL.

A condition is written so that no index has it, unless the caller names it as the one to search by: otherwise SQLite,
which knows nothing about the number of rows, would choose an index that most rows match, and sort all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from addonkit.database.sql import placeholders
from addonkit.work import JobKind, JobState


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs that meet all given conditions; a condition that has its default value is not checked.

    Attributes:
        ids: The job has one of these ids.
        plugin: The job is for this plugin.
        name: The job's handler has this name.
        names: The job has one of these pairs of plugin and handler's name; an empty tuple selects no job.
        kind: What enqueued the job.
        states: The job is in one of these states.
        tenant_id: Number of the tenant; 0 is the deployment itself.
        since: Earliest time of enqueueing, Unix time in seconds.
        error: Text that the error contains, ignoring case.
        above: The job's id is greater than this.
        has_payload: Whether the payload is still stored.
        up_to: The job's id is at most this.
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
    has_payload: bool | None = None

    def has_handler(self) -> bool:
        """Whether there is a condition on the handler, the kind or the state."""
        return (
            self.names is not None
            or bool(self.states)
            or any(value is not None for value in (self.plugin, self.name, self.kind))
        )

    def has_more_than_tenant(self) -> bool:
        """Whether there is a condition on the tenant, and another one that is not on the id."""
        return self.tenant_id is not None and replace(self, tenant_id=None, above=None, up_to=None) != JobFilter()

    def accepts(self, plugin: str, name: str, kind: str, state: str) -> bool:
        """Whether jobs of this handler and kind, in this state, meet the conditions on these four."""
        return (
            self.plugin in (None, plugin)
            and self.name in (None, name)
            and (self.names is None or (plugin, name) in self.names)
            and self.kind in (None, kind)
            and (not self.states or state in self.states)
        )

    def where(
        self, *, state: str = "j.state", has_payload: str = "j.has_payload", by_tenant: bool = False
    ) -> tuple[str, list[Any]]:
        """Return an SQL condition on the table alias ``j``, and its bind values.

        Args:
            state: SQL of the state.
            has_payload: SQL of whether the payload is stored, 1 or 0.
            by_tenant: Whether an index of the tenant's column may be used.
        """
        parts, values = ["1 = 1"], list[Any]()
        for condition, value in (
            ("j.tenant_id = ?" if by_tenant else "j.tenant_id + 0 = ?", self.tenant_id),
            ("j.plugin || '' = ?", self.plugin),
            ("j.name || '' = ?", self.name),
            ("j.kind || '' = ?", None if self.kind is None else str(self.kind)),
            ("j.created_at >= ?", self.since),
            (
                "j.error IS NOT NULL AND lower(j.error) LIKE ? ESCAPE '!'",
                None if self.error is None else _like(self.error),
            ),
            ("j.id > ?", self.above),
            ("j.id <= ?", self.up_to),
            (f"{has_payload} = ?", None if self.has_payload is None else int(self.has_payload)),
        ):
            if value is not None:
                parts.append(condition)
                values.append(value)
        if self.ids:
            parts.append(f"j.id IN ({placeholders(len(self.ids))})")
            values += self.ids
        if self.names is not None:
            pairs = " OR ".join(["(j.plugin || '' = ? AND j.name || '' = ?)"] * len(self.names))
            parts.append(f"({pairs or '1 = 0'})")
            values += [word for pair in self.names for word in pair]
        if self.states:
            parts.append(f"{state} || '' IN ({state_list(self.states)})")
        return " AND ".join(parts), values


def state_list(states: Sequence[JobState]) -> str:
    """Return states as SQL literals, separated by commas."""
    return ", ".join(f"'{state}'" for state in states)


def _like(text: str) -> str:
    """Return a LIKE pattern for values that contain a text, with ``!`` as the escape character."""
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text.lower()}%"
