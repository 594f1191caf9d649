"""Rate limits of the simulated REST API: responses with status 429, as the host sends them."""

from __future__ import annotations

from typing import Any

from addonkit.testing.exchange import RecordedRequest, Reply, ReplyFactory


def rate_limited(
    then: ReplyFactory | Any = None,
    *,
    times: int = 1,
    retry_after: float | str = 1,
    reason: str | None = None,
    account_id: str | None = None,
) -> ReplyFactory:
    """Return a function that refuses requests with status 429, for ``RestApi.answer(…, by=…)``.

    Args:
        then: The response after that: JSON values, a ``Reply``, or a function.
        times: How many requests are refused.
        retry_after: The header ``Retry-After``: seconds, or a date.
        reason: The header ``RateLimit-Reason``: ``jira-per-issue-on-write``, ``jira-burst-based``,
            ``jira-quota-tenant-based``.
        account_id: Refuse only requests in this user's name.
    """
    left = times

    def reply(request: RecordedRequest) -> Reply | dict[str, Any] | list[Any] | None:
        nonlocal left
        if left > 0 and account_id in (None, request.account_id):
            left -= 1
            headers = {"retry-after": str(retry_after), **({"ratelimit-reason": reason} if reason else {})}
            return Reply({"errorMessages": ["Rate limit exceeded"]}, 429, headers)
        answer: Reply | dict[str, Any] | list[Any] | None = then(request) if callable(then) else then
        return answer

    return reply
