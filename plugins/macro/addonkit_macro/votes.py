"""Casting, changing, withdrawing and counting votes.

Counts are always asked of the rows, so they cannot drift. Whoever writes votes or changes a poll locks the poll's row
first: PostgreSQL then lets them in one by one, SQLite does so anyway.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tortoise.functions import Count
from tortoise.transactions import in_transaction

from addonkit_macro.models import Choice, Option, Poll, Vote

_BATCH = 1000


class VoteRefused(Exception):
    """The vote does not count; the sentence says why.

    Args:
        sentence: Why, and what to do.
        status: 400 if the vote is malformed, 404 if the poll is gone, 409 if the poll does not take it.
    """

    def __init__(self, sentence: str, status: int = 409) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Line:
    """One option in the results.

    Attributes:
        key: Its name within the poll.
        text: What it says.
        count: How many voters chose it.
        percent: Of all voters, 0 to 100, rounded half up.
        mine: Whether the viewer chose it.
    """

    key: str
    text: str
    count: int
    percent: int
    mine: bool


@dataclass(frozen=True, slots=True)
class Results:
    """How a poll stands.

    Attributes:
        lines: The options in their order.
        voters: How many accounts have voted.
        voted: Whether the viewer is among them.
    """

    lines: tuple[Line, ...]
    voters: int
    voted: bool


def is_closed(poll: Poll) -> bool:
    """Whether the closing time has passed, by the server's clock."""
    return poll.closes_at is not None and poll.closes_at <= datetime.now(UTC)


def percent(part: int, whole: int) -> int:
    """The share in percent, rounded half up; 0 of nothing."""
    return (200 * part + whole) // (2 * whole) if whole else 0


async def lock(poll: Poll) -> Poll:
    """The poll as it stands now; nobody else changes it or votes until the transaction ends.

    Raises:
        VoteRefused: It is gone.
    """
    locked = await Poll.filter(id=poll.id).select_for_update().first()
    if locked is None:
        raise VoteRefused("this poll was removed", 404)
    return locked


async def cast(poll: Poll, keys: Sequence[str], account_id: str) -> None:
    """Make these options the account's vote, in place of what it chose before.

    Raises:
        VoteRefused: The poll is closed, or the choice is none that it offers.
    """
    async with in_transaction():
        poll = await lock(poll)
        _demand_open(poll)
        wanted = _chosen(await Option.filter(poll_id=poll.id), keys, several=poll.several)
        vote, _ = await Vote.get_or_create(poll_id=poll.id, account_id=account_id)
        former = {choice.option_id for choice in await Choice.filter(vote_id=vote.id)}
        await Choice.filter(vote_id=vote.id, option_id__in=former - wanted).delete()
        for option_id in sorted(wanted - former):
            await Choice.create(vote_id=vote.id, option_id=option_id)


async def withdraw(poll: Poll, account_id: str) -> None:
    """Take the account's vote back, if there is one.

    Raises:
        VoteRefused: The poll is closed.
    """
    async with in_transaction():
        poll = await lock(poll)
        _demand_open(poll)
        await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id, account_id=account_id)])


async def results(poll: Poll, options: Collection[Option], account_id: str | None) -> Results:
    """How the poll stands, as this viewer sees it."""
    numbers = await counts(options)
    voters = await Vote.filter(poll_id=poll.id).count()
    vote = await Vote.get_or_none(poll_id=poll.id, account_id=account_id) if account_id else None
    mine = {choice.option_id for choice in await Choice.filter(vote_id=vote.id)} if vote else set()
    lines = tuple(
        Line(option.key, option.text, numbers[option.id], percent(numbers[option.id], voters), option.id in mine)
        for option in options
    )
    return Results(lines, voters, vote is not None)


async def counts(options: Collection[Option]) -> dict[int, int]:
    """How many voters chose each of the options, by the option's row id."""
    ids = [option.id for option in options]
    rows = await Choice.filter(option_id__in=ids).annotate(n=Count("id")).group_by("option_id").values("option_id", "n")
    return dict.fromkeys(ids, 0) | {row["option_id"]: row["n"] for row in rows}


async def has_several(option_ids: Collection[int]) -> bool:
    """Whether some voter chose more than one of the options."""
    chosen = Choice.filter(option_id__in=option_ids).annotate(n=Count("id")).group_by("vote_id")
    return bool(await chosen.filter(n__gt=1).limit(1).values("vote_id"))


async def forget(poll: Poll, options: Collection[Option]) -> None:
    """Delete the choices of these options, and the votes that have no other."""
    gone = [option.id for option in options]
    await Choice.filter(option_id__in=gone).delete()
    left = [option.id for option in await Option.filter(poll_id=poll.id).exclude(id__in=gone)]
    remaining = {choice.vote_id for choice in await Choice.filter(option_id__in=left)}
    await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id) if vote.id not in remaining])


async def forget_all(poll: Poll) -> None:
    """Delete every vote of the poll."""
    await _delete([vote.id for vote in await Vote.filter(poll_id=poll.id)])


async def _delete(vote_ids: Sequence[int]) -> None:
    for start in range(0, len(vote_ids), _BATCH):
        batch = vote_ids[start : start + _BATCH]
        await Choice.filter(vote_id__in=batch).delete()
        await Vote.filter(id__in=batch).delete()


def _demand_open(poll: Poll) -> None:
    if is_closed(poll):
        raise VoteRefused("this poll is closed; its results stay as they are")


def _chosen(options: Collection[Option], keys: Sequence[str], *, several: bool) -> set[int]:
    known = {option.key: option.id for option in options}
    if not keys:
        raise VoteRefused("no option is chosen; choose one, or withdraw your vote", 400)
    if not several and len(set(keys)) > 1:
        raise VoteRefused("this poll takes one choice only; choose one", 400)
    if not known.keys() >= set(keys):
        raise VoteRefused("the options of this poll have changed; look at them and vote again")
    return {known[key] for key in keys}
