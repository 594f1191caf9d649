"""Creating, finding, changing and deleting polls.

Drafts are validated in ``drafts.py``; votes are in ``votes.py``.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from addonkit import transaction_lock
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit_macro import drafts, votes
from addonkit_macro.drafts import Draft, DraftOption
from addonkit_macro.models import Option, Place, Poll, ShownOption

MAX_UNSHOWN = 50
"""Polls that one author can make in a day before somebody opens a page with one of them."""


class PollConflict(Exception):
    """The change conflicts with the poll's current state; the message says why."""


class VotesWouldBeLost(PollConflict):
    """Saving would delete more votes than the author has agreed to.

    Args:
        votes: Number of votes.
    """

    def __init__(self, votes: int) -> None:
        super().__init__(f"saving deletes {count(votes, 'vote')}; confirm this or keep the options")
        self.votes = votes


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved poll.

    Attributes:
        key: The key that the macro stores.
        revision: The poll's revision.
    """

    key: str
    revision: int


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 vote``, ``2 votes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


async def find(key: str) -> Poll | None:
    """Return the current site's poll with this key; None if there is none."""
    return await Poll.get_or_none(key=key) if key else None


async def shown_options(poll: Poll) -> list[ShownOption]:
    """Return the options of a poll in their order, to be shown."""
    return await Option.rows(ShownOption, order=["position", "id"], poll_id=poll.id)


async def options_of(poll: Poll) -> list[Option]:
    """Return the options of a poll in their order, to be changed."""
    return await Option.filter(poll_id=poll.id).order_by("position", "id")


async def create(draft: Draft, *, author_id: str, name: str) -> Saved:
    """Create a poll, or return the one that the author has already created with the same key.

    Args:
        draft: The submitted draft.
        author_id: Account id of the author.
        name: Idempotency key of the dialog, 32 hexadecimal digits; a double click sends it twice.

    Raises:
        DraftInvalid: The draft is not valid.
        PollConflict: The author has too many new polls that are on no page.
    """
    draft = drafts.check(draft, now=datetime.now(UTC))
    poll = await Poll.get_or_none(author_id=author_id, draft=name)
    if poll is None:
        try:
            poll = await _insert(draft, author_id, name)
        except IntegrityError:  # A concurrent request was first.
            poll = await Poll.get(author_id=author_id, draft=name)
    return Saved(poll.key, poll.revision)


async def update(poll: Poll, draft: Draft, *, revision: int, may_lose: int) -> Saved:
    """Change a poll; options that stay keep their votes.

    Args:
        poll: The poll.
        draft: The submitted draft.
        revision: The revision that the author has seen.
        may_lose: Number of votes that the author has agreed to delete.

    Raises:
        DraftInvalid: The draft is not valid.
        VotesWouldBeLost: More votes than agreed would be deleted.
        PollConflict: Another author changed the poll, or its votes do not allow the change.
    """
    async with in_transaction():
        poll = await votes.lock(poll)
        draft = drafts.check(draft, now=datetime.now(UTC), closed_before=poll.closes_at)
        options = await options_of(poll)
        if _as_draft(poll, options) == draft:
            return Saved(poll.key, poll.revision)
        if revision != poll.revision:
            raise PollConflict(
                "somebody else changed this poll while you were editing; close the editor and open it again"
            )
        kept = {option.key for option in draft.options}
        await _delete_options(poll, [option for option in options if option.key not in kept], may_lose)
        if poll.several and not draft.several and await votes.has_several(option_ids(options, kept)):
            raise PollConflict("some voters have chosen several options; allow several options or remove some")
        await _write_options(poll, options, draft.options)
        poll.question, poll.several, poll.closes_at = draft.question, draft.several, draft.closes_at
        poll.revision += 1
        await poll.save(update_fields=["question", "several", "closes_at", "revision"])
        return Saved(poll.key, poll.revision)


async def delete(poll: Poll) -> None:
    """Delete a poll with its options and votes. The caller must have locked the poll."""
    await votes.delete_all(poll)
    await Option.filter(poll_id=poll.id).delete()
    await poll.delete()


def option_ids(options: Collection[Option], keys: Collection[str]) -> list[int]:
    """Return the row ids of the options with these keys."""
    return [option.id for option in options if option.key in keys]


async def _insert(draft: Draft, author_id: str, name: str) -> Poll:
    async with in_transaction():
        await transaction_lock("polls of", author_id)
        if poll := await Poll.get_or_none(author_id=author_id, draft=name):  # of a concurrent request
            return poll
        await _require_room(author_id)
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


async def _require_room(author_id: str) -> None:
    """Refuse a poll of an author whose new polls are on no page: the dialog can be opened without end."""
    since = datetime.now(UTC) - timedelta(days=1)
    recent = await Poll.filter(author_id=author_id, created_at__gte=since).values_list("id", flat=True)
    if len(recent) < MAX_UNSHOWN:
        return
    shown = await Place.filter(poll_id__in=recent).distinct().values_list("poll_id", flat=True)
    if len(recent) - len(shown) >= MAX_UNSHOWN:
        raise PollConflict(
            f"you have made {MAX_UNSHOWN} polls today that nobody has opened on a page; publish and open a page with "
            "one of them, or try again tomorrow"
        )


async def _write_options(poll: Poll, former: Collection[Option], submitted: Collection[DraftOption]) -> None:
    rows = {option.key: option for option in former}
    for position, option in enumerate(submitted):
        row = rows.get(option.key)
        if row is None:
            await Option.create(poll_id=poll.id, key=option.key, text=option.text, position=position)
        elif (row.text, row.position) != (option.text, position):
            row.text, row.position = option.text, position
            await row.save(update_fields=["text", "position"])


async def _delete_options(poll: Poll, options: Collection[Option], may_lose: int) -> None:
    if not options:
        return
    lost = sum((await votes.counts(options)).values())
    if lost > may_lose:
        raise VotesWouldBeLost(lost)
    await votes.delete_choices(poll, options)
    await Option.filter(id__in=[option.id for option in options]).delete()


def _as_draft(poll: Poll, options: Collection[Option]) -> Draft:
    current = tuple(DraftOption(option.key, option.text) for option in options)
    return Draft(poll.question, current, poll.several, poll.closes_at)
