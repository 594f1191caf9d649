"""``[forge] accepted_losses``: which losses the configuration accepts, and entries that match none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from addonkit.forge.statements import Statement, Verdict
from addonkit.text import near_matches


def is_accepted(statement: Statement, accepted: Iterable[str]) -> bool:
    """Return whether the configuration accepts this loss."""
    return statement.verdict is Verdict.LOST and statement.loss in _normal(accepted)


def unmatched(statements: Sequence[Statement], accepted: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each entry that accepts nothing.

    Args:
        statements: The statements about every plugin at every stage.
        accepted: The entries.
    """
    names = {statement.loss for statement in statements}
    lost = {statement.loss for statement in statements if statement.verdict is Verdict.LOST}
    for entry in sorted(_normal(accepted) - lost):
        if entry in names:
            yield f"[forge] accepted_losses names '{entry}', which is lost at no stage; remove it"
            continue
        close = near_matches(entry, lost) or near_matches(entry, names)
        remedy = f"did you mean '{close[0]}'" if close else "remove it, or write '<plugin> <module, event or hook>'"
        yield f"[forge] accepted_losses names '{entry}', which no enabled plugin has; {remedy}"


def _normal(entries: Iterable[str]) -> frozenset[str]:
    return frozenset(" ".join(entry.split()) for entry in entries)
