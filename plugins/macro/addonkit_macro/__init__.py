"""Polls in Confluence pages: the macro, its editor, the routes for voting, static output and webhooks.

The routes call the rules: of polls in ``drafts.py`` and ``polls.py``, of votes in ``votes.py``, of the pages that show
a poll in ``places.py``. ``views.py`` prepares what is shown.
"""

from typing import Any, Literal

from addonkit import Access, Context, Plugin, WebhookEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict
from quart import abort

from addonkit_macro import drafts, editing, places, polls, views, votes
from addonkit_macro.drafts import Draft, DraftInvalid, DraftOption
from addonkit_macro.editing import EditRefused
from addonkit_macro.models import Place, Poll
from addonkit_macro.polls import PollConflict, VotesWouldBeLost
from addonkit_macro.votes import VoteRefused

plugin = Plugin("macro", __name__, scopes={"READ"}, models="addonkit_macro.models")
pages = plugin.clean_up(Place, content="content_id", space="space_key", delete=places.delete_polls)

JsonResponse = dict[str, Any] | tuple[dict[str, Any], int]


class SentOption(BaseModel):
    """An option as the editor sends it."""

    model_config = ConfigDict(extra="forbid")

    key: str
    text: str


# The editor's page has a signed variable of its own. A reader's page has ``poll``, which does not allow changes.
@plugin.page(licensed=True, variables={"edited_poll": "poll"})
async def editor(context: Context, edited_poll: str = "") -> str:
    """Render the dialog in which an author edits a poll.

    Args:
        context: The request's context, to check the author's permission in Confluence.
        edited_poll: Key of the macro's poll; empty for a new macro.
    """
    poll = await polls.find(edited_poll)
    if poll and (reason := await editing.refusal(context, poll)):
        return await plugin.render("locked.html", reason=reason)
    return await plugin.render(
        "editor.html",
        form=await views.form(poll) if poll else None,
        edited=edited_poll,
        limits={"options": drafts.MAX_OPTIONS, "fewest": drafts.MIN_OPTIONS},
        lengths={"question": drafts.MAX_QUESTION, "option": drafts.MAX_OPTION},
    )


@plugin.page(variables={"poll": "poll"})
async def static_poll(poll: str = "") -> str:
    """Render the poll for PDF, Word and email exports: storage format without scripts.

    Args:
        poll: Key of the macro's poll.
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
async def poll(account_id: str | None, content_id: str | None, space_key: str | None, poll: str = "") -> str:
    """Render the poll in its page.

    Args:
        account_id: Account id of the reader; an anonymous reader (None) sees the results.
        content_id: Id of the page; it is stored as a page that shows the poll.
        space_key: Key of its space; None if Confluence still has the URL of an earlier release.
        poll: Key of the macro's poll; empty before the macro is saved.
    """
    found = await polls.find(poll)
    if found is None:
        return await plugin.render("gone.html", was_saved=bool(poll))
    if content_id:
        await _remember_page(found, content_id, space_key)
    region = await plugin.render("region.html", view=await views.view(found, account_id))
    return await plugin.render("poll.html", region=region, question=found.question)


@plugin.get("/view")
async def show(account_id: str | None, poll: str, part: Literal["ballot", "results"] | None = None) -> JsonResponse:
    """Return the current state of the poll.

    Args:
        account_id: Account id of the reader.
        poll: Key of the poll on the reader's page.
        part: The requested part; by default results for readers who have voted, else the ballot.
    """
    return await _region(poll, account_id, part)


@plugin.put("/vote", max_body=8 * 1024)
async def vote(
    context: Context, account_id: str, poll: str, choices: list[str], content_id: str | None
) -> JsonResponse:
    """Vote, or change a vote.

    Args:
        context: The request's context, to check the voter's permission in Confluence.
        account_id: Account id of the voter.
        poll: Key of the poll on the voter's page.
        choices: Keys of the chosen options.
        content_id: Id of the page.
    """
    await _require_reader(context, content_id)
    try:
        await votes.cast(await _poll_or_404(poll), choices, account_id)
    except VoteRefused as error:
        abort(error.status, str(error))
    return await _region(poll, account_id, message="Your vote was counted.")


@plugin.delete("/vote")
async def withdraw(context: Context, account_id: str, poll: str, content_id: str | None) -> JsonResponse:
    """Withdraw a vote.

    Args:
        context: The request's context, to check the voter's permission in Confluence.
        account_id: Account id of the voter.
        poll: Key of the poll on the voter's page.
        content_id: Id of the page.
    """
    await _require_reader(context, content_id)
    try:
        await votes.withdraw(await _poll_or_404(poll), account_id)
    except VoteRefused as error:
        abort(error.status, str(error))
    return await _region(poll, account_id, message="Your vote was withdrawn.")


@plugin.post("/save", pages=[editor], licensed=True, max_body=64 * 1024)
async def save(
    context: Context,
    account_id: str,
    draft: str,
    question: str,
    options: list[SentOption],
    several: bool,
    closes_at: AwareDatetime | None = None,
    revision: int = 0,
    may_lose: int = 0,
    edited_poll: str = "",
) -> JsonResponse:
    """Save the editor's poll: change the macro's poll or create a new one.

    Args:
        context: The request's context, to check the author's permission in Confluence.
        account_id: Account id of the author.
        draft: Idempotency key of the dialog, 32 hexadecimal digits; sending it twice creates one poll.
        question: The question.
        options: The options in their order.
        several: Whether voters may choose more than one option.
        closes_at: When voting closes; None for never.
        revision: The revision of the poll that the author has seen.
        may_lose: Number of votes that the author has agreed to delete.
        edited_poll: Key of the poll for which the editor was opened.
    """
    if not drafts.is_key(draft):
        abort(400, "'draft' is not valid; close the editor and open it again")
    submitted = Draft(question, tuple(DraftOption(option.key, option.text) for option in options), several, closes_at)
    former = await polls.find(edited_poll)
    try:
        if former is None:
            saved = await polls.create(submitted, author_id=account_id, name=draft)
        else:
            await editing.require_editor(context, former)
            saved = await polls.update(former, submitted, revision=revision, may_lose=may_lose)
    except EditRefused as error:
        abort(403, str(error))
    except DraftInvalid as error:
        return {"error": str(error), "fields": error.fields}, 400
    except VotesWouldBeLost as error:
        return {"error": str(error), "votes": error.votes}, 409
    except PollConflict as error:
        abort(409, str(error))
    except VoteRefused as error:
        abort(error.status, str(error))
    return {"poll": saved.key, "revision": saved.revision}


@plugin.webhook("page_removed")
async def forget_page(event: WebhookEvent) -> None:
    """Delete the polls of a page that was deleted permanently."""
    if event.content_id:
        await places.delete_polls(event.content_id)


@plugin.webhook("blog_removed")
async def forget_blog(event: WebhookEvent) -> None:
    """Delete the polls of a blog post that was deleted permanently."""
    if event.content_id:
        await places.delete_polls(event.content_id)


async def _remember_page(poll: Poll, content_id: str, space_key: str | None) -> None:
    """Store that the page shows the poll, with its space; ask Confluence for the space if the page's URL has none."""
    place = await places.find(poll, content_id)
    if place is not None:
        await pages.seen(content_id, space_key, [place])
        return
    about = pages.values(space_key)
    await places.remember(poll, content_id, about)
    if not about:
        await pages.check_soon()


async def _require_reader(context: Context, content_id: str | None) -> None:
    """Refuse a vote on a page that the voter cannot read, even if the macro was shown to them."""
    if content_id is None:
        abort(409, "this page has not been saved yet; you can vote after it is saved")
    access = await context.host.access("read", content=content_id)
    if access is Access.HIDDEN:
        abort(
            403,
            "your vote was not counted because this app may not see this page and cannot check your access; ask an "
            "administrator to add the app to the page's view restrictions",
        )
    if access is not Access.GRANTED:
        abort(403, "your vote was not counted because you do not have access to this page")


async def _poll_or_404(key: str) -> Poll:
    found = await polls.find(key)
    if found is None:
        abort(404, "this poll was deleted")
    return found


async def _region(key: str, account_id: str | None, part: str | None = None, message: str = "") -> JsonResponse:
    view = await views.view(await _poll_or_404(key), account_id, part)
    return {"html": await plugin.render("region.html", view=view), "message": message}
