"""Polls as they are shown to readers, in exports and in the editor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from addonkit_macro import polls, votes
from addonkit_macro.models import Poll
from addonkit_macro.votes import Results


@dataclass(frozen=True, slots=True)
class View:
    """A poll as a reader sees it.

    Attributes:
        question: The question.
        several: Whether a voter may choose more than one option.
        closes_at: When voting closes or closed, UTC; None for never.
        closed: Whether voting is closed.
        anonymous: Whether the reader is anonymous.
        ballot: Whether the ballot is shown; otherwise the results are.
        results: The results.
    """

    question: str
    several: bool
    closes_at: datetime | None
    closed: bool
    anonymous: bool
    ballot: bool
    results: Results


async def view(poll: Poll, account_id: str | None, part: str | None = None) -> View:
    """Return a poll as a reader sees it.

    Args:
        poll: The poll.
        account_id: Account id of the reader; None for an anonymous reader.
        part: ``"ballot"`` or ``"results"``; by default results for readers who have voted, else the ballot.
    """
    results = await votes.results(poll, await polls.shown_options(poll), account_id)
    closed = votes.is_closed(poll)
    may_vote = account_id is not None and not closed
    shows_ballot = part == "ballot" or (part is None and not results.voted)
    return View(
        poll.question, poll.several, poll.closes_at, closed, account_id is None, may_vote and shows_ballot, results
    )


async def form(poll: Poll) -> dict[str, Any]:
    """Return the initial values of the editor's form, as JSON values."""
    results = await votes.results(poll, await polls.shown_options(poll), None)
    return {
        "revision": poll.revision,
        "question": poll.question,
        "several": poll.several,
        "closesAt": poll.closes_at.isoformat() if poll.closes_at else None,
        "options": [{"key": line.key, "text": line.text, "votes": line.count} for line in results.lines],
        "voters": results.voters,
    }
