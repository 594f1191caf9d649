"""What is shown of a poll: to a reader, on paper, and in the editor's form."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from addonkit_macro import polls, votes
from addonkit_macro.models import Poll
from addonkit_macro.votes import Results


@dataclass(frozen=True, slots=True)
class View:
    """A poll as one reader sees it.

    Attributes:
        question: The question.
        several: Whether more than one option may be chosen.
        closes_at: When voting ends or ended, UTC; None is never.
        closed: Whether it has ended.
        anonymous: Whether the reader has no account here.
        ballot: Whether the reader is asked to choose; results are shown otherwise.
        results: How the poll stands.
    """

    question: str
    several: bool
    closes_at: datetime | None
    closed: bool
    anonymous: bool
    ballot: bool
    results: Results


async def view(poll: Poll, account_id: str | None, part: str | None = None) -> View:
    """The poll for one reader.

    Args:
        poll: The poll.
        account_id: The reader; None is an anonymous one.
        part: ``"ballot"`` or ``"results"`` if the reader asks for it; otherwise who has voted sees results.
    """
    results = await votes.results(poll, await polls.options_of(poll), account_id)
    closed = votes.is_closed(poll)
    may_vote = account_id is not None and not closed
    wants_ballot = part == "ballot" or (part is None and not results.voted)
    return View(
        poll.question, poll.several, poll.closes_at, closed, account_id is None, may_vote and wants_ballot, results
    )


async def form(poll: Poll) -> dict[str, Any]:
    """What the editor's form starts with, as JSON values."""
    results = await votes.results(poll, await polls.options_of(poll), None)
    return {
        "revision": poll.revision,
        "question": poll.question,
        "several": poll.several,
        "closesAt": poll.closes_at.isoformat() if poll.closes_at else None,
        "options": [{"key": line.key, "text": line.text, "votes": line.count} for line in results.lines],
        "voters": results.voters,
    }
