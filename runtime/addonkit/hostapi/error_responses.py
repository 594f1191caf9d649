"""What the host says when it says no: its words found, and one sentence made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from addonkit.errors import HostError, RateLimited
from addonkit.hostapi.rate_limit import retry_after_s
from addonkit.hostapi.transport import RawResponse
from addonkit.protocol.tokens import in_words

LONGEST_MESSAGE = 300
MOST_MESSAGES = 5
SKEW_S = 60.0
_REQUEST_IDS = ("atl-traceid", "x-arequestid", "atl-request-id", "x-request-id")


def refusal(received: RawResponse, call: str, site: str) -> HostError:
    """The error for an answer with a status of 300 or more.

    Args:
        received: The answer.
        call: Method and path, for the message.
        site: The site's base URL.
    """
    status, now = received.status, time.time()
    messages = tuple(said[:LONGEST_MESSAGE] for said, _ in zip(_said(received.content), range(MOST_MESSAGES)))  # noqa: B905
    request_id = next((found for name in _REQUEST_IDS if (found := received.headers.get(name))), None)
    waits = retry_after_s(received.headers, now, limited=status == 429)
    answered, hint = f"'{site}' answered {status} to '{call}'", _hint(received, now)
    behind = f"; {hint}" if hint else ""
    said = f": {'; '.join(messages)}" if messages else ""
    kind = RateLimited if status == 429 else HostError
    return kind(
        answered + said + behind,
        brief=answered + behind,
        status=status,
        messages=messages,
        request_id=request_id,
        retry_after_s=waits,
    )


def _hint(received: RawResponse, now: float) -> str:
    if received.status == 401:
        skew = _skew_s(received.headers, now)
        if abs(skew) > SKEW_S:
            way = "behind" if skew > 0 else "ahead of"
            return f"this machine's clock is {in_words(abs(skew))} {way} the host's, set it by NTP"
        return "the host does not take our token; see whether the add-on is still installed there"
    if received.status == 429:
        reason = received.headers.get("ratelimit-reason", "")
        return f"the budget is used up{f' ({reason[:80]})' if reason else ''}, try again later"
    return "the host redirects, and no redirect is followed here" if received.status < 400 else ""


def _skew_s(headers: Mapping[str, str], now: float) -> float:
    """How far the host's clock is ahead of ours."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _said(content: bytes) -> Iterator[str]:
    """The host's own words, in each of its forms.

    Source: Jira ``errorMessages`` and ``errors`` by field; Confluence ``message``, its newer API a list ``errors`` with
    ``title`` and ``detail``; token servers ``error_description``.
    """
    try:
        found = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return
    if not isinstance(found, dict):
        return
    listed = found.get("errorMessages")
    yield from _texts(listed if isinstance(listed, list) else [])
    errors = found.get("errors")
    if isinstance(errors, dict):
        yield from (f"{field}: {said}" for field, said in errors.items() if isinstance(said, str))
    elif isinstance(errors, list):
        yield from _texts([_of_error(error) for error in errors])
    yield from _texts([found.get(name) for name in ("message", "error_description", "errorMessage")])


def _of_error(error: Any) -> Any:
    if not isinstance(error, dict):
        return error
    return error.get("detail") or error.get("title") or error.get("message")


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.strip():
            yield " ".join(value.split())
