"""A plugin that writes down what the host told, each delivery once however often it is handled."""

from addonkit import Plugin, WebhookEvent
from tortoise.exceptions import IntegrityError

plugin = Plugin("stranger_teller", __name__, scopes={"READ"}, models="stranger_teller.models")


@plugin.webhook("jira:issue_updated")
async def tell(event: WebhookEvent) -> None:
    from stranger_teller.models import Effect

    try:
        await Effect.create(identifier=event.identifier)
    except IntegrityError:
        return
