"""What a handler in the background may ask for: each fault is one sentence, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from addonkit import Context, PluginError, Tenant
from addonkit.extension.job_arguments import job_arguments_of
from addonkit.work import Attempt, JobKind, WebhookEvent
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


@pytest.mark.parametrize(
    ("handler", "kind", "said"),
    [
        (not_awaited, JobKind.JOB, "runs in the background and is not awaited; write it with 'async def'"),
        (of_a_request, JobKind.JOB, "asks for a context, and there is no request behind what runs in the background"),
        (of_a_request_unsaid, JobKind.WEBHOOK, "asks for a context, and there is no request behind"),
        (of_nothing_found, JobKind.JOB, "with a name that cannot be found (Decimal); import it outside of"),
        (of_the_rest, JobKind.JOB, "takes '**values: str' in 'of_the_rest', and values are handed over by name"),
        (of_the_queues_own, JobKind.JOB, "asks for 'delay_s', which enqueue() takes for itself; rename it"),
        (of_another_tenant, JobKind.JOB, "asks for 'tenant' by another type than the runtime's"),
        (of_something, JobKind.SCHEDULE, "asks for 'issue_id', which nobody hands to a schedule"),
        (of_a_misspelt_one, JobKind.WEBHOOK, "which no webhook's URL can carry; did you mean 'issue_id'"),
    ],
)
def test_a_fault_is_told_in_one_sentence(handler, kind, said):
    with pytest.raises(PluginError) as fault:
        job_arguments_of(handler, "kit", kind, Settings)
    assert said in str(fault.value)
    assert str(fault.value).startswith("plugin 'kit'")
    assert fault.value.plugin == "kit"


def test_what_the_runtime_knows_goes_by_type_and_the_rest_is_the_payload():
    wants = job_arguments_of(of_all, "kit", JobKind.JOB, Settings)
    assert wants.named == {"tenant": "tenant", "colours": "settings", "tried": "attempt"}
    assert wants.payload is not None
    assert wants.payload(issue_id="7").model_dump() == {"issue_id": "7", "many": 3}


def test_a_webhook_may_name_the_event_and_what_its_url_carries():
    wants = job_arguments_of(of_an_event, "kit", JobKind.WEBHOOK, Settings)
    assert (wants.named, wants.objects) == ({"event": "event", "tenant": "tenant"}, {"issue_id"})
    assert wants.payload is None
