"""A plugin that stores the identifier of each webhook once, however often its handler runs."""

import os
import signal

from addonkit import Plugin, WebhookEvent
from tortoise.exceptions import IntegrityError

plugin = Plugin("stranger_teller", __name__, scopes={"READ"}, models="stranger_teller.models")


@plugin.module("generalPages", name="Page")
async def page() -> str:
    return "calm"


@plugin.webhook("jira:issue_deleted")
async def poison(event: WebhookEvent) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@plugin.webhook("jira:issue_updated")
async def tell(event: WebhookEvent) -> None:
    from stranger_teller.models import Effect

    try:
        await Effect.create(identifier=event.identifier)
    except IntegrityError:
        return
