"""Error responses of the host, and the errors that plugins get."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from addonkit import HostError
from addonkit.hostapi import error_responses

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


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def fixed_clock(monkeypatch):
    monkeypatch.setattr(error_responses, "time", SimpleNamespace(time=lambda: NOW))


@pytest.mark.usefixtures("fixed_clock")
@pytest.mark.parametrize(
    ("ahead_s", "skew"),
    [
        (-7200, "this machine's clock is 2 h ahead of the host's; set it by NTP"),
        (-180, "this machine's clock is 3 min ahead of the host's; set it by NTP"),
        (180, "this machine's clock is 3 min behind the host's; set it by NTP"),
        (7200, "this machine's clock is 2 h behind the host's; set it by NTP"),
        (61, "this machine's clock is .* behind the host's"),
        (-61, "this machine's clock is .* ahead of the host's"),
        (60, "the host does not accept the token"),
        (-60, "the host does not accept the token"),
        (0, "the host does not accept the token"),
    ],
)
async def test_clock_skew_is_named_in_the_error_with_its_direction(ask_at, ahead_s, skew):
    date = format_datetime(datetime.fromtimestamp(NOW + ahead_s, UTC), usegmt=True)
    async with faulty(answer("401 Unauthorized", b"", date=date)) as url:
        with pytest.raises(HostError, match=skew):
            await ask_at(url)


@pytest.mark.usefixtures("fixed_clock")
@pytest.mark.parametrize("date", ["yesterday", "", "Thu, 99 Nov 2026 00:00:00 GMT"])
async def test_clock_skew_is_unknown_after_an_unreadable_date(ask_at, date):
    async with faulty(answer("401 Unauthorized", b"", date=date)) as url:
        with pytest.raises(HostError, match="the host does not accept the token"):
            await ask_at(url)


async def test_rest_api_status_overrides_every_answer(caller):
    caller.rest.status = 503
    try:
        with pytest.raises(HostError) as refused:
            await caller(lambda host: host.post("/rest/api/3/issue", {}))
    finally:
        caller.rest.status = None
    assert refused.value.status == 503
