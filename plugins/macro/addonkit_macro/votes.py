"""Casting, changing, withdrawing and counting votes.

Counts are computed from the rows. Transactions that write votes or change a poll lock the poll's row first
(``SELECT FOR UPDATE``), so that they run one after another. SQLite allows one writer at a time in any case.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tortoise.functions import Count
from tortoise.transactions import in_transaction

from addonkit_macro.models import Choice, Option, Poll, ShownOption, Vote

_BATCH_SIZE = 1000


class VoteRefused(Exception):
    """A vote was not accepted; the message says why.

    Args:
        message: The reason and what to do.
        status: 400 if the vote is not valid, 404 if the poll was deleted, 409 if the poll does not accept it.
    """

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one option.

    Attributes:
        key: The option's key.
        text: The option's text.
        count: Number of voters who chose it.
        percent: Percentage of all voters, 0 to 100, rounded half up.
        mine: Whether the viewer chose it.
    """

    key: str
    text: str
    count: int
    percent: int
    mine: bool


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a poll.

    Attributes:
        lines: The options in their order.
        voters: Number of accounts that have voted.
        voted: Whether the viewer has voted.
    """

    lines: tuple[Line, ...]
    voters: int
    voted: bool


def is_closed(poll: Poll) -> bool:
    """Return whether voting is closed, by the server's clock."""
    return poll.closes_at is not None and poll.closes_at <= datetime.now(UTC)


def percent(part: int, whole: int) -> int:
    """Return a percentage, rounded half up; 0 if ``whole`` is 0."""
    return (200 * part + whole) // (2 * whole) if whole else 0


async def lock(poll: Poll) -> Poll:
    """Lock a poll's row until the transaction ends and return the current poll.

    Raises:
        VoteRefused: The poll was deleted.
    """
    locked = await Poll.filter(id=poll.id).select_for_update().first()
    if locked is None:
        raise VoteRefused("this poll was deleted", 404)
    return locked


async def cast(poll: Poll, keys: Sequence[str], account_id: str) -> None:
    """Set an account's vote, replacing an earlier one.

    Raises:
        VoteRefused: The poll is closed, or a chosen option is not valid.
    """
    async with in_transaction():
        poll = await lock(poll)
        _require_open(poll)
        chosen = _option_ids(await Option.filter(poll_id=poll.id), keys, several=poll.several)
        vote, _ = await Vote.get_or_create(poll_id=poll.id, account_id=account_id)
        former = {choice.option_id for choice in await Choice.filter(vote_id=vote.id)}
        await Choice.filter(vote_id=vote.id, option_id__in=former - chosen).delete()
        for option_id in sorted(chosen - former):
            await Choice.create(vote_id=vote.id, option_id=option_id)


async def withdraw(poll: Poll, account_id: str) -> None:
    """Delete an account's vote, if there is one.

    Raises:
        VoteRefused: The poll is closed.
    """
    async with in_transaction():
        poll = await lock(poll)
        _require_open(poll)
        await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id, account_id=account_id)])


async def results(poll: Poll, options: Collection[ShownOption], account_id: str | None) -> Results:
    """Return the results of a poll for a viewer."""
    numbers = await counts(options)
    voters = await Vote.filter(poll_id=poll.id).count()
    own = await Vote.rows("id", poll_id=poll.id, account_id=account_id) if account_id else []
    mine = {choice.option_id for vote in own for choice in await Choice.rows("option_id", vote_id=vote.id)}
    lines = tuple(
        Line(option.key, option.text, numbers[option.id], percent(numbers[option.id], voters), option.id in mine)
        for option in options
    )
    return Results(lines, voters, bool(own))


async def counts(options: Collection[Option | ShownOption]) -> dict[int, int]:
    """Return the number of voters for each option, by the option's row id."""
    ids = [option.id for option in options]
    rows = await Choice.filter(option_id__in=ids).annotate(n=Count("id")).group_by("option_id").values("option_id", "n")
    return dict.fromkeys(ids, 0) | {row["option_id"]: row["n"] for row in rows}


async def has_several(option_ids: Collection[int]) -> bool:
    """Return whether any voter chose more than one of the options."""
    chosen = Choice.filter(option_id__in=option_ids).annotate(n=Count("id")).group_by("vote_id")
    return bool(await chosen.filter(n__gt=1).limit(1).values("vote_id"))


async def delete_choices(poll: Poll, options: Collection[Option]) -> None:
    """Delete the choices of these options, and votes that have no other choice."""
    deleted = [option.id for option in options]
    await Choice.filter(option_id__in=deleted).delete()
    kept = [option.id for option in await Option.filter(poll_id=poll.id).exclude(id__in=deleted)]
    remaining = {choice.vote_id for choice in await Choice.filter(option_id__in=kept)}
    await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id) if vote.id not in remaining])


async def delete_all(poll: Poll) -> None:
    """Delete all votes of a poll."""
    await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id)])


async def _delete(vote_ids: Sequence[int]) -> None:
    for start in range(0, len(vote_ids), _BATCH_SIZE):
        batch = vote_ids[start : start + _BATCH_SIZE]
        await Choice.filter(vote_id__in=batch).delete()
        await Vote.filter(id__in=batch).delete()


def _require_open(poll: Poll) -> None:
    if is_closed(poll):
        raise VoteRefused("this poll is closed")


def _option_ids(options: Collection[Option], keys: Sequence[str], *, several: bool) -> set[int]:
    known = {option.key: option.id for option in options}
    if not keys:
        raise VoteRefused("choose an option, or withdraw your vote", 400)
    if not several and len(set(keys)) > 1:
        raise VoteRefused("choose one option only", 400)
    if not known.keys() >= set(keys):
        raise VoteRefused("the options of this poll have changed; check them and vote again")
    return {known[key] for key in keys}
