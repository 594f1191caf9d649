"""Error responses of the host: extracts the host's messages and builds a ``HostError`` from them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import orjson

from addonkit import foreign_json
from addonkit.errors import HostError, RateLimited
from addonkit.hostapi.rate_limit import retry_after_s
from addonkit.hostapi.transport import RawResponse
from addonkit.text import in_words

MAX_MESSAGE_LENGTH = 300
MAX_MESSAGES = 5
MAX_CLOCK_SKEW_S = 60.0
_REQUEST_ID_HEADERS = ("atl-traceid", "x-arequestid", "atl-request-id", "x-request-id")


def error_of(response: RawResponse, call: str, site: str) -> HostError:
    """Build the error for a response with a status of 300 or more.

    Args:
        response: The response.
        call: Method and path, for the message.
        site: The site's base URL.
    """
    status, now = response.status, time.time()
    messages = tuple(each[:MAX_MESSAGE_LENGTH] for each in islice(messages_of(response.content), MAX_MESSAGES))
    request_id = next((found for name in _REQUEST_ID_HEADERS if (found := response.headers.get(name))), None)
    answered, advice = f"'{site}' answered {status} to '{call}'", _advice(response, now)
    quoted = f": {'; '.join(messages)}" if messages else ""
    advice = f"; {advice}" if advice else ""
    kind = RateLimited if status == 429 else HostError
    return kind(
        answered + quoted + advice,
        brief=answered + advice,
        status=status,
        messages=messages,
        request_id=request_id,
        retry_after_s=retry_after_s(response.headers, now, limited=status == 429),
    )


def _advice(response: RawResponse, now: float) -> str:
    if response.status == 401:
        skew_s = _clock_skew_s(response.headers, now)
        if abs(skew_s) > MAX_CLOCK_SKEW_S:
            direction = "behind" if skew_s > 0 else "ahead of"
            return f"this machine's clock is {in_words(abs(skew_s))} {direction} the host's; set it by NTP"
        return "the host does not accept the token; check that the add-on is still installed there"
    if response.status == 429:
        reason = response.headers.get("ratelimit-reason", "")
        return f"the rate limit is exhausted{f' ({reason[:80]})' if reason else ''}; try again later"
    return "it is a redirect, which is not followed for this request" if response.status < 400 else ""


def _clock_skew_s(headers: Mapping[str, str], now: float) -> float:
    """Return by how many seconds the host's clock is ahead of ours; 0 if the response has no valid date."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0


def messages_of(content: bytes) -> Iterator[str]:
    """Extract the host's messages from an error body, in any of its formats.

    Source: Jira ``errorMessages`` and ``errors`` by field; Confluence ``message``, its newer API a list ``errors`` with
    ``title`` and ``detail``; token servers ``error_description``.
    """
    try:
        body = foreign_json.loads(content) if content else None
    except orjson.JSONDecodeError:
        return
    if not isinstance(body, dict):
        return
    listed = body.get("errorMessages")
    yield from _texts(listed if isinstance(listed, list) else [])
    errors = body.get("errors")
    if isinstance(errors, dict):
        yield from (f"{field}: {message}" for field, message in errors.items() if isinstance(message, str))
    elif isinstance(errors, list):
        yield from _texts([_text_of_error(error) for error in errors])
    yield from _texts([body.get(name) for name in ("message", "error_description", "errorMessage")])


def _text_of_error(error: Any) -> Any:
    if not isinstance(error, dict):
        return error
    return error.get("detail") or error.get("title") or error.get("message")


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.strip():
            yield " ".join(value.split())
