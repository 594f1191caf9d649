"""Variables of a webhook's URL, as its handler gets them: typed and defaulted as the variables of a page are."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.errors import GiveUp
from addonkit.extension.arguments import job_arguments
from addonkit.extension.handlers import job_runner
from addonkit.settings import Section
from addonkit.webhook_event import WebhookEvent
from addonkit.work import Attempt, JobInvocation, JobKind
from pydantic import Field

TENANT = Tenant(1, "one", "jira", "https://one.example.net", "https://one.example.net", TenantState.ENABLED, "one")
got: list[Any] = []


class Board(StrEnum):
    MAIN = "9"


async def text(issue_id: str) -> None:
    got.append(issue_id)


async def unannotated(issue_id) -> None:
    got.append(issue_id)


async def number(issue_id: int) -> None:
    got.append(issue_id)


async def perhaps(issue_id: str | None) -> None:
    got.append(issue_id)


async def perhaps_number(issue_id: int | None = None) -> None:
    got.append(issue_id)


async def defaulted(issue_id: int = 7) -> None:
    got.append(issue_id)


async def short(issue_id: Annotated[str, Field(max_length=3)]) -> None:
    got.append(issue_id)


async def chosen(board_id: Board) -> None:
    got.append(board_id)


async def all_new(worklog_id: int, board_id: int, attachment_id: str) -> None:
    got.append((worklog_id, board_id, attachment_id))


async def call(handler: Any, **objects: str) -> Any:
    """What the handler got, called for a webhook with these values in its URL."""
    got.clear()
    event = WebhookEvent("jira:issue_updated", TENANT, b"{}", datetime.now(UTC), objects)
    run = job_runner(handler, job_arguments(handler, "kit", JobKind.WEBHOOK, None))
    await run(JobInvocation(TENANT, Section(), Attempt(1, 1), event=event))
    [value] = got
    return value


@pytest.mark.parametrize(
    ("handler", "objects", "value"),
    [
        (text, {"issue_id": "10001"}, "10001"),
        (unannotated, {"issue_id": "10001"}, "10001"),
        (number, {"issue_id": "10001"}, 10001),
        (perhaps, {"issue_id": "10001"}, "10001"),
        (perhaps, {}, None),
        (perhaps, {"issue_id": ""}, None),
        (perhaps_number, {"issue_id": "${issue.id}"}, None),
        (perhaps_number, {"issue_id": "10001"}, 10001),
        (defaulted, {"issue_id": ""}, 7),
        (defaulted, {"issue_id": "8"}, 8),
        (short, {"issue_id": "12"}, "12"),
        (chosen, {"board_id": "9"}, Board.MAIN),
        (all_new, {"worklog_id": "1", "board_id": "2", "attachment_id": "3"}, (1, 2, "3")),
    ],
)
async def test_webhook_variable_is_typed_and_defaulted(handler: Any, objects: dict[str, str], value: Any) -> None:
    assert await call(handler, **objects) == value


@pytest.mark.parametrize(
    ("handler", "objects", "sentence"),
    [
        (text, {}, "the webhook's URL has no value for 'issue_id', because the host did not fill it in"),
        (text, {"issue_id": ""}, "the webhook's URL has no value for 'issue_id'"),
        (number, {"issue_id": "${issue.id}"}, "the webhook's URL has no value for 'issue_id'"),
        (number, {"issue_id": "AB-1"}, "does not fit the handler's parameters: 'issue_id' is invalid: Input should be"),
        (perhaps_number, {"issue_id": "1.5"}, "'issue_id' is invalid"),
        (short, {"issue_id": "10001"}, "'issue_id' is invalid: String should have at most 3 characters"),
        (chosen, {"board_id": "10"}, "'board_id' is invalid"),
    ],
)
async def test_webhook_variable_that_does_not_fit_ends_the_job(
    handler: Any, objects: dict[str, str], sentence: str
) -> None:
    with pytest.raises(GiveUp) as fault:
        await call(handler, **objects)
    assert sentence in str(fault.value)
    assert not got


def test_webhook_variable_is_not_taken_from_a_value_of_the_same_name_in_the_body() -> None:
    arguments = job_arguments(all_new, "kit", JobKind.WEBHOOK, None)
    assert arguments.names_from("object") == {"worklog_id", "board_id", "attachment_id"}
