"""Making, finding and changing polls: the rules on rows, in one place.

What a draft must be stands in ``drafts.py``, who voted for what in ``votes.py``.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit_macro import drafts, votes
from addonkit_macro.drafts import Draft, DraftOption
from addonkit_macro.models import Option, Poll


class PollRefused(Exception):
    """What was asked cannot be done to this poll as it stands; the sentence says why."""


class VotesAtStake(PollRefused):
    """Saving would delete votes that nobody has agreed to lose.

    Args:
        votes: How many.
    """

    def __init__(self, votes: int) -> None:
        super().__init__(f"saving removes {count(votes, 'vote')}; agree to that or keep the options")
        self.votes = votes


@dataclass(frozen=True, slots=True)
class Saved:
    """What the editor is told.

    Attributes:
        key: What the macro stores.
        revision: Which version of the poll this is.
    """

    key: str
    revision: int


def count(number: int, noun: str) -> str:
    """The number with its noun: ``1 vote``, ``2 votes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


async def find(key: str) -> Poll | None:
    """The poll of this site that goes by the key."""
    return await Poll.get_or_none(key=key) if key else None


async def options_of(poll: Poll) -> list[Option]:
    """The poll's options in their order."""
    return await Option.filter(poll_id=poll.id).order_by("position", "id")


async def create(draft: Draft, *, author_id: str, name: str) -> Saved:
    """A new poll, or the one that the same author has made from the same dialog already.

    Args:
        draft: As written.
        author_id: Account id of the author.
        name: The dialog's name for this draft, 32 hexadecimal digits; a double click sends it twice.

    Raises:
        DraftInvalid: It makes no poll.
    """
    draft = drafts.check(draft, now=datetime.now(UTC))
    former = await Poll.get_or_none(author_id=author_id, draft=name)
    if former is None:
        try:
            former = await _insert(draft, author_id, name)
        except IntegrityError:  # the other click was faster
            former = await Poll.get(author_id=author_id, draft=name)
    return Saved(former.key, former.revision)


async def update(poll: Poll, draft: Draft, *, revision: int, may_lose: int) -> Saved:
    """The poll after the change; options that stay keep their votes.

    Args:
        poll: The poll.
        draft: As written.
        revision: The version that the author has seen.
        may_lose: How many votes the author has agreed to delete.

    Raises:
        DraftInvalid: It makes no poll.
        VotesAtStake: More votes than agreed would go.
        PollRefused: Somebody else changed the poll meanwhile, or its votes forbid the change.
    """
    async with in_transaction():
        poll = await votes.lock(poll)
        draft = drafts.check(draft, now=datetime.now(UTC), closed_before=poll.closes_at)
        options = await options_of(poll)
        if _as_draft(poll, options) == draft:
            return Saved(poll.key, poll.revision)
        if revision != poll.revision:
            raise PollRefused("somebody else changed this poll since you opened it; close the editor and open it again")
        kept = {option.key for option in draft.options}
        await _drop(poll, [option for option in options if option.key not in kept], may_lose)
        if poll.several and not draft.several and await votes.has_several(kept_ids(options, kept)):
            raise PollRefused("some voters have chosen several options; keep several choices or remove options")
        await _write_options(poll, options, draft.options)
        poll.question, poll.several, poll.closes_at = draft.question, draft.several, draft.closes_at
        poll.revision += 1
        await poll.save(update_fields=["question", "several", "closes_at", "revision"])
        return Saved(poll.key, poll.revision)


async def remove(poll: Poll) -> None:
    """Delete the poll with its options and votes; whoever calls has locked it."""
    await votes.forget_all(poll)
    await Option.filter(poll_id=poll.id).delete()
    await poll.delete()


def kept_ids(options: Collection[Option], keys: Collection[str]) -> list[int]:
    """Row ids of the options that go by the keys."""
    return [option.id for option in options if option.key in keys]


async def _insert(draft: Draft, author_id: str, name: str) -> Poll:
    async with in_transaction():
        poll = await Poll.create(
            key=secrets.token_hex(16),
            question=draft.question,
            several=draft.several,
            closes_at=draft.closes_at,
            author_id=author_id,
            draft=name,
        )
        await _write_options(poll, [], draft.options)
    return poll


async def _write_options(poll: Poll, former: Collection[Option], wanted: Collection[DraftOption]) -> None:
    rows = {option.key: option for option in former}
    for position, option in enumerate(wanted):
        row = rows.get(option.key)
        if row is None:
            await Option.create(poll_id=poll.id, key=option.key, text=option.text, position=position)
        elif (row.text, row.position) != (option.text, position):
            row.text, row.position = option.text, position
            await row.save(update_fields=["text", "position"])


async def _drop(poll: Poll, options: Collection[Option], may_lose: int) -> None:
    if not options:
        return
    lost = sum((await votes.counts(options)).values())
    if lost > may_lose:
        raise VotesAtStake(lost)
    await votes.forget(poll, options)
    await Option.filter(id__in=[option.id for option in options]).delete()


def _as_draft(poll: Poll, options: Collection[Option]) -> Draft:
    written = tuple(DraftOption(option.key, option.text) for option in options)
    return Draft(poll.question, written, poll.several, poll.closes_at)
