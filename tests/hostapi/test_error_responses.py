"""Error responses of the host, and the errors that plugins get."""

from __future__ import annotations

import pytest
from addonkit import HostError

from tests.support.faulty_servers import answer, faulty

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("clean", "fast_backoff")]
MYSELF = "/rest/api/3/myself"


async def test_error_contains_the_hosts_messages(caller):
    message = {"errorMessages": ["Issue does not exist"], "errors": {"summary": "is required"}}
    caller.rest.answer("GET", "/rest/api/3/issue/NO-1", message, status=404, headers={"atl-traceid": "abc123"})
    with pytest.raises(HostError) as refused:
        await caller(lambda host: host.get("/rest/api/3/issue/NO-1", {"fields": "secret-words"}))
    error = refused.value
    assert (error.status, error.request_id) == (404, "abc123")
    assert error.messages == ("Issue does not exist", "summary: is required")
    assert "404 to 'GET /rest/api/3/issue/NO-1': Issue does not exist; summary: is required" in str(error)
    assert "secret-words" not in str(error)
    assert "Issue does not exist" not in error.brief


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"statusCode": 404, "message": "No content found"}, "No content found"),
        ({"errors": [{"status": 404, "code": "NOT_FOUND", "title": "Not Found", "detail": "no page 1"}]}, "no page 1"),
        ({"error": "x", "error_description": "too much"}, "too much"),
    ],
)
async def test_error_messages_are_found_in_every_format(caller, body, message):
    caller.rest.answer("GET", "/rest/api/3/field", body, status=400)
    with pytest.raises(HostError) as refused:
        await caller(lambda host: host.get("/rest/api/3/field"))
    assert refused.value.messages == (message,)


async def test_clock_skew_is_named_in_the_error(ask_at):
    async with faulty(answer("401 Unauthorized", b"", date="Thu, 26 Nov 2026 00:00:00 GMT")) as url:
        with pytest.raises(HostError, match=r"this machine's clock is .* (behind|ahead of) the host's; set it by NTP"):
            await ask_at(url)


async def test_rest_api_status_overrides_every_answer(caller):
    caller.rest.status = 503
    try:
        with pytest.raises(HostError) as refused:
            await caller(lambda host: host.post("/rest/api/3/issue", {}))
    finally:
        caller.rest.status = None
    assert refused.value.status == 503
