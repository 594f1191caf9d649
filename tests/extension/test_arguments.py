"""What a handler in the background may ask for: each fault is one sentence, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from addonkit import Context, PluginError, Tenant
from addonkit.extension.arguments import job_arguments
from addonkit.webhook_event import WebhookEvent
from addonkit.work import Attempt, JobKind
from pydantic import BaseModel

if TYPE_CHECKING:
    from decimal import Decimal


class Settings(BaseModel):
    colour: str = "blue"


def not_awaited(issue_id: str) -> None:
    pass


async def of_a_request(context: Context) -> None:
    pass


async def of_a_request_unsaid(context) -> None:
    pass


async def of_nothing_found(amount: Decimal) -> None:
    pass


async def of_the_rest(**values: str) -> None:
    pass


async def of_the_queues_own(delay_s: int) -> None:
    pass


async def of_another_tenant(tenant: str) -> None:
    pass


async def of_something(issue_id: str) -> None:
    pass


async def of_a_misspelt_one(issue_idd: str) -> None:
    pass


async def of_all(tenant: Tenant, colours: Settings, tried: Attempt, issue_id: str, many: int = 3) -> None:
    pass


async def of_an_event(event: WebhookEvent, tenant: Tenant, issue_id: str) -> None:
    pass


def sources_of(arguments):
    return {one.name: one.source for one in arguments.parameters}


@pytest.mark.parametrize(
    ("handler", "kind", "sentence"),
    [
        (not_awaited, JobKind.JOB, "runs in the background and must be async; write it with 'async def'"),
        (
            of_a_request,
            JobKind.JOB,
            "has a context parameter, but background work has no request; use 'tenant: Tenant'",
        ),
        (of_a_request_unsaid, JobKind.WEBHOOK, "has a context parameter, but background work has no request"),
        (of_nothing_found, JobKind.JOB, "has an annotation that cannot be found ('Decimal'); import it outside of"),
        (of_the_rest, JobKind.JOB, "handler 'of_the_rest' takes '**values: str', but arguments are passed by name"),
        (of_the_queues_own, JobKind.JOB, "has the parameter 'delay_s', which is an option of enqueue(); rename it"),
        (of_another_tenant, JobKind.JOB, "has the parameter 'tenant' with another type than the runtime's"),
        (of_something, JobKind.SCHEDULE, "has the parameter 'issue_id', which a schedule cannot fill"),
        (of_a_misspelt_one, JobKind.WEBHOOK, "which a webhook's URL cannot carry; did you mean 'issue_id'"),
    ],
)
def test_handler_fault_is_one_sentence(handler, kind, sentence):
    with pytest.raises(PluginError) as fault:
        job_arguments(handler, "kit", kind, Settings)
    assert sentence in str(fault.value)
    assert str(fault.value).startswith("plugin 'kit'")
    assert fault.value.plugin == "kit"


def test_job_arguments_go_by_type_and_the_rest_is_the_payload():
    arguments = job_arguments(of_all, "kit", JobKind.JOB, Settings)
    assert sources_of(arguments) == {"tenant": "tenant", "colours": "settings", "tried": "attempt"}
    assert arguments.payload is not None
    assert arguments.payload(issue_id="7").model_dump() == {"issue_id": "7", "many": 3}


def test_webhook_arguments_are_the_event_and_the_urls_objects():
    arguments = job_arguments(of_an_event, "kit", JobKind.WEBHOOK, Settings)
    assert sources_of(arguments) == {"event": "event", "tenant": "tenant", "issue_id": "object"}
    assert arguments.names_from("object") == {"issue_id"}
    assert arguments.payload is None
