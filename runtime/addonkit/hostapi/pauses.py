"""Pauses of a part of a site: the calls that one rate limit of the host covers, while the others go on.

Source: Jira's rate limiting guide. ``RateLimit-Reason`` names the limit: writes to one issue, requests of one method to
one endpoint of the site, or a quota of the whole add-on. Calls as a user and anonymous calls have budgets of their own.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

from addonkit.hostapi.call import HostCall
from addonkit.hostapi.priority_semaphore import MAX_CONCURRENT, PrioritySemaphore
from addonkit.hostapi.scopes import required_scope

MAX_PAUSES = 128
"""Largest number of pauses that are remembered for one site."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ANONYMOUS = "anonymous"
_ISSUE = re.compile(r"/rest/.+?/(?:issue|request)/(?P<issue>[0-9]+|[a-z][a-z0-9_]*-[0-9]+)(?:/|$)", re.IGNORECASE)
"""Source: paths of the platform, of boards, and of service management."""


class PauseKind(StrEnum):
    """What a pause covers."""

    ISSUE = "issue"
    ENDPOINT = "endpoint"
    USER = "user"


_REASONS = {
    "jira-per-issue-on-write": PauseKind.ISSUE,
    "jira-burst-based": PauseKind.ENDPOINT,
    "confluence-burst-based": PauseKind.ENDPOINT,
}
"""Every other reason pauses the site, or the user whom the call acts as."""


@dataclass(frozen=True, slots=True)
class PauseKey:
    """The calls that a pause covers.

    Attributes:
        kind: What it covers.
        subject: The issue or endpoint; empty for all calls.
        actor: Only calls as this user; empty for all.
    """

    kind: PauseKind
    subject: str = ""
    actor: str = ""

    def __str__(self) -> str:
        """Return what is paused, for messages; the user is not named."""
        match self.kind:
            case PauseKind.ISSUE:
                paused = f"writes to issue '{self.subject}'" if " " not in self.subject else f"'{self.subject}'"
            case PauseKind.ENDPOINT:
                paused = f"'{self.subject}'"
            case PauseKind.USER:
                paused = "calls"
        who = "" if not self.actor else " by anonymous visitors" if self.actor == _ANONYMOUS else " as this user"
        return paused + who


@dataclass(slots=True)
class Pause:
    """One pause; afterwards one call at a time is admitted until one succeeds.

    Attributes:
        reason: The host's name for the reason.
        until: Its end, by the monotonic clock.
        semaphore: Limits the concurrent calls that it covers.
    """

    reason: str = ""
    until: float = 0.0
    semaphore: PrioritySemaphore = field(default_factory=PrioritySemaphore)

    def left_s(self) -> float:
        """How much of the pause is left, in seconds."""
        return max(0.0, self.until - time.monotonic())


class Pauses:
    """The pauses of parts of one site. It is empty nearly always, so that a call costs nothing here."""

    def __init__(self) -> None:
        self._pauses: dict[PauseKey, Pause] = {}

    def __bool__(self) -> bool:
        return bool(self._pauses)

    def covering(self, call: HostCall) -> list[tuple[PauseKey, Pause]]:
        """Return the pauses that cover a call, the one that ends last first; those that are over are included."""
        if not self._pauses:
            return []
        found = [(key, self._pauses[key]) for key in _keys_of(call) if key in self._pauses]
        return sorted(found, key=lambda each: -each[1].until)

    def start(self, key: PauseKey, seconds: float, reason: str) -> bool:
        """Start a pause or prolong it; return whether it is a new one."""
        is_new = key not in self._pauses
        if is_new and len(self._pauses) >= MAX_PAUSES:
            self._drop_oldest()
        pause = self._pauses.setdefault(key, Pause())
        pause.reason, pause.until = reason, max(pause.until, time.monotonic() + seconds)
        pause.semaphore.set_limit(1)
        return is_new

    def end(self, call: HostCall) -> None:
        """End the pauses that cover a call which the host has served, unless they began while it was under way."""
        for key, pause in self.covering(call):
            if not pause.left_s():
                del self._pauses[key]
                pause.semaphore.set_limit(MAX_CONCURRENT)

    @asynccontextmanager
    async def turn(self, call: HostCall, background: bool) -> AsyncIterator[None]:
        """Wait for the turn of a call after the pauses that cover it, and hold it for the block."""
        async with AsyncExitStack() as turns:
            # Always in one order, so that no two calls wait for each other.
            for _, pause in sorted(self.covering(call), key=lambda each: str(each[0])):
                await turns.enter_async_context(pause.semaphore.slot(background))
            yield

    def is_active(self) -> bool:
        """Whether a pause lasts, or calls wait for their turn after one."""
        return any(pause.left_s() or not pause.semaphore.is_idle() for pause in self._pauses.values())

    def _drop_oldest(self) -> None:
        """Forget the pauses that are over; if none is, the one that ends first."""
        over = [key for key, pause in self._pauses.items() if not pause.left_s()]
        for key in over or [min(self._pauses, key=lambda each: self._pauses[each].until)]:
            pause = self._pauses.pop(key)
            pause.semaphore.set_limit(MAX_CONCURRENT)


def pause_key(call: HostCall, reason: str) -> PauseKey | None:
    """Return what a response with status 429 pauses; None is the whole site.

    Args:
        call: The request.
        reason: The header ``RateLimit-Reason``.
    """
    actor = _actor(call)
    match _REASONS.get(reason.strip().lower()):
        case PauseKind.ISSUE:
            return PauseKey(PauseKind.ISSUE, _written_issue(call) or call.label, actor)
        case PauseKind.ENDPOINT:
            return PauseKey(PauseKind.ENDPOINT, _endpoint(call), actor)
    return PauseKey(PauseKind.USER, actor=actor) if actor else None


def _keys_of(call: HostCall) -> Iterator[PauseKey]:
    """Yield every key whose pause covers a call: its own, and those of all users."""
    actor, endpoint = _actor(call), _endpoint(call)
    for subject in (call.label, _written_issue(call)):
        if subject:
            yield PauseKey(PauseKind.ISSUE, subject)
            if actor:
                yield PauseKey(PauseKind.ISSUE, subject, actor)
    yield PauseKey(PauseKind.ENDPOINT, endpoint)
    if actor:
        yield PauseKey(PauseKind.ENDPOINT, endpoint, actor)
        yield PauseKey(PauseKind.USER, actor=actor)


def _actor(call: HostCall) -> str:
    return (call.acting or "") if call.signed else _ANONYMOUS


def _endpoint(call: HostCall) -> str:
    """Return method and path template of a call: ``PUT /rest/api/3/issue/{issueIdOrKey}``."""
    resource = required_scope(call.tenant.product, call.method, call.url.path)[1]
    return f"{call.method} {resource.partition(' ')[2]}"


def _written_issue(call: HostCall) -> str:
    """Return id or key of the issue that a call writes; empty if it writes none, or more than one."""
    found = None if call.method in _READS else _ISSUE.match(unquote(call.url.path))
    return found["issue"].upper() if found else ""
