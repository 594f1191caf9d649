"""Polls in Confluence pages: the macro, its editor, what readers do with it, and how it looks on paper.

The routes here only hand over: what a poll may be stands in ``drafts.py`` and ``polls.py``, what a vote may be in
``votes.py``, where polls are shown in ``places.py``, what a reader sees in ``views.py``.
"""

from typing import Any, Literal

from addonkit import Context, Plugin, WebhookEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict
from quart import abort

from addonkit_macro import drafts, places, polls, views, votes
from addonkit_macro.drafts import Draft, DraftInvalid, DraftOption
from addonkit_macro.models import Poll
from addonkit_macro.polls import PollRefused, VotesAtStake
from addonkit_macro.votes import VoteRefused

plugin = Plugin("macro", __name__, scopes={"READ"}, models="addonkit_macro.models")

HostResponse = dict[str, Any] | tuple[dict[str, Any], int]


class WrittenOption(BaseModel):
    """An option as the editor sends it."""

    model_config = ConfigDict(extra="forbid")

    key: str
    text: str


# The editor's page has a variable of its own: a reader's page proves ``poll``, which opens no door to changing it.
@plugin.page(licensed=True, variables={"edited_poll": "poll"})
async def editor(edited_poll: str = "") -> str:
    """The dialog in which an author writes a poll.

    Args:
        edited_poll: Key of the poll that the macro shows already; empty in a new macro.
    """
    poll = await polls.find(edited_poll)
    return await plugin.render(
        "editor.html",
        form=await views.form(poll) if poll else None,
        edited=edited_poll,
        limits={"options": drafts.MOST_OPTIONS, "fewest": drafts.FEWEST_OPTIONS},
        lengths={"question": drafts.QUESTION_LENGTH, "option": drafts.OPTION_LENGTH},
    )


@plugin.page(variables={"poll": "poll"})
async def static_poll(poll: str = "") -> str:
    """The poll for PDF, Word and mail: a piece of storage format without scripts.

    Args:
        poll: Key of the poll that the macro shows.
    """
    found = await polls.find(poll)
    return await plugin.render("static_poll.html", view=await views.view(found, None) if found else None)


STATIC = {"url": plugin.link(static_poll)}


@plugin.module(
    "dynamicContentMacros",
    key="addonkit-poll",
    variables={"poll": "poll"},
    name="Poll",
    description={"value": "Ask the readers of this page a question and see what they answer"},
    icon={"width": 80, "height": 80, "url": plugin.static("icon.svg")},
    categories=["communication"],
    outputType="block",
    bodyType="none",
    width="100%",
    parameters=[{"identifier": "poll", "name": {"value": "Poll"}, "type": "string", "hidden": True}],
    editor={
        "url": plugin.link(editor),
        "insertTitle": {"value": "Insert a poll"},
        "editTitle": {"value": "Edit the poll"},
        "width": "640px",
        "height": "560px",
    },
    renderModes={"pdf": STATIC, "word": STATIC, "email": STATIC, "default": STATIC},
)
async def poll(account_id: str | None, content_id: str | None, poll: str = "") -> str:
    """The poll in its page.

    Args:
        account_id: The reader; None is an anonymous one, who sees the results.
        content_id: The host's number for the page; it is remembered as one that shows the poll.
        poll: Key of the poll that the macro shows; empty before the macro was saved.
    """
    found = await polls.find(poll)
    if found is None:
        return await plugin.render("gone.html", was_saved=bool(poll))
    if content_id:
        await places.note(found, content_id)
    region = await plugin.render("region.html", view=await views.view(found, account_id))
    return await plugin.render("poll.html", region=region, question=found.question)


@plugin.get("/view")
async def show(account_id: str | None, poll: str, part: Literal["ballot", "results"] | None = None) -> HostResponse:
    """The poll as it stands now.

    Args:
        account_id: The reader.
        poll: Key of the poll that the reader's page shows.
        part: What the reader asks to see; left out, what they would see on coming back.
    """
    return await _answer(poll, account_id, part)


@plugin.put("/vote", max_body=8 * 1024)
async def vote(
    context: Context, account_id: str, poll: str, choices: list[str], content_id: str | None
) -> HostResponse:
    """Vote, or vote otherwise than before.

    Args:
        context: Asks Confluence about the voter.
        account_id: The voter.
        poll: Key of the poll that the voter's page shows.
        choices: Keys of the options.
        content_id: The host's number for that page.
    """
    await _demand_reader(context, content_id)
    try:
        await votes.cast(await _found(poll), choices, account_id)
    except VoteRefused as refusal:
        abort(refusal.status, str(refusal))
    return await _answer(poll, account_id, said="Your vote is counted.")


@plugin.delete("/vote")
async def withdraw(context: Context, account_id: str, poll: str, content_id: str | None) -> HostResponse:
    """Take one's vote back.

    Args:
        context: Asks Confluence about the voter.
        account_id: The voter.
        poll: Key of the poll that the voter's page shows.
        content_id: The host's number for that page.
    """
    await _demand_reader(context, content_id)
    try:
        await votes.withdraw(await _found(poll), account_id)
    except VoteRefused as refusal:
        abort(refusal.status, str(refusal))
    return await _answer(poll, account_id, said="Your vote is withdrawn.")


@plugin.post("/save", licensed=True, max_body=64 * 1024)
async def save(
    account_id: str,
    draft: str,
    question: str,
    options: list[WrittenOption],
    several: bool,
    closes_at: AwareDatetime | None = None,
    revision: int = 0,
    may_lose: int = 0,
    edited_poll: str = "",
) -> HostResponse:
    """Store what the editor holds: the poll of its macro changed, or a new one.

    Args:
        account_id: The author.
        draft: The dialog's name for what it sends, 32 hexadecimal digits; the same again makes no second poll.
        question: The question.
        options: The options in their order.
        several: Whether voters may choose more than one.
        closes_at: When voting ends; left out, never.
        revision: The version of the poll that the author has seen.
        may_lose: How many votes the author has agreed to delete.
        edited_poll: Key of the poll that the editor's page was opened for.
    """
    if not drafts.is_key(draft):
        abort(400, "'draft' is malformed; close the editor and open it again")
    wanted = Draft(question, tuple(DraftOption(option.key, option.text) for option in options), several, closes_at)
    former = await polls.find(edited_poll)
    try:
        if former is None:
            saved = await polls.create(wanted, author_id=account_id, name=draft)
        else:
            saved = await polls.update(former, wanted, revision=revision, may_lose=may_lose)
    except DraftInvalid as refusal:
        return {"error": str(refusal), "fields": refusal.fields}, 400
    except VotesAtStake as refusal:
        return {"error": str(refusal), "votes": refusal.votes}, 409
    except PollRefused as refusal:
        abort(409, str(refusal))
    return {"poll": saved.key, "revision": saved.revision}


@plugin.webhook("page_removed")
async def forget_page(event: WebhookEvent) -> None:
    """Forget the polls of a page that left the trash for good."""
    if event.content_id:
        await places.forget(event.content_id)


@plugin.webhook("blog_removed")
async def forget_blog(event: WebhookEvent) -> None:
    """Forget the polls of a blog post that left the trash for good."""
    if event.content_id:
        await places.forget(event.content_id)


async def _demand_reader(context: Context, content_id: str | None) -> None:
    """Refuse a vote on a page that the voter may not read, or not any more; where they were shown it says nothing."""
    if content_id is None:
        abort(409, "this page was not saved yet; votes count once it is")
    if not await context.host.may_read(content=content_id):
        abort(403, "you may not read this page, so that your vote does not count")


async def _found(key: str) -> Poll:
    found = await polls.find(key)
    if found is None:
        abort(404, "this poll was removed")
    return found


async def _answer(key: str, account_id: str | None, part: str | None = None, said: str = "") -> HostResponse:
    view = await views.view(await _found(key), account_id, part)
    return {"html": await plugin.render("region.html", view=view), "said": said}
