"""``CheckContext``, the argument of each check, and ``Result``, which a check yields."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from addonkit.app.deployment import Deployment
from addonkit.check.http_probe import HttpProbe, ProbeResponse
from addonkit.edge.asgi import DESCRIPTOR_PATH
from addonkit.protocol.urls import is_loopback


class State(StrEnum):
    """The state of a result, best first; ``SKIPPED`` means that something was not checked."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"
    SKIPPED = "-"


_BY_SEVERITY = (State.OK, State.WARN, State.WRONG)


@dataclass(frozen=True, slots=True)
class Result:
    """One result of a check.

    Attributes:
        check: Name of the check, or of the stage of a token; empty until ``summarize`` sets it.
        state: Whether something is wrong.
        message: A sentence without a full stop, never with a secret in it.
    """

    check: str
    state: State
    message: str


def ok(message: str, check: str = "") -> Result:
    """Return a result: nothing is wrong."""
    return Result(check, State.OK, message)


def warn(message: str, check: str = "") -> Result:
    """Return a result: something works but should be changed."""
    return Result(check, State.WARN, message)


def wrong(message: str, check: str = "") -> Result:
    """Return a result: something prevents the add-on from being served, or from being served safely."""
    return Result(check, State.WRONG, message)


def skipped(message: str, check: str = "") -> Result:
    """Return a result: something was not checked; the message is the reason."""
    return Result(check, State.SKIPPED, message)


def summarize(check: str, results: Iterable[Result]) -> Result:
    """Join the results of one check: the worst state, and all messages in their order.

    Args:
        check: Name of the check.
        results: At least one.
    """
    given = list(results)
    states = [result.state for result in given if result.state is not State.SKIPPED]
    state = max(states, key=_BY_SEVERITY.index) if states else State.SKIPPED
    return Result(check, state, "; ".join(result.message for result in given))


@dataclass(frozen=True, slots=True)
class CheckContext:
    """One deployment that is being checked.

    Attributes:
        deployment: Its configuration and what is installed.
        probe: Sends HTTP requests, one per address; None to send none.
        now: Unix time in seconds.
    """

    deployment: Deployment
    probe: HttpProbe | None = None
    now: Callable[[], float] = field(default=time.time)

    @property
    def base_url(self) -> str:
        """The add-on's base URL."""
        return self.deployment.settings.addon.base_url

    @property
    def hostname(self) -> str:
        """The host name in the base URL."""
        return urlsplit(self.base_url).hostname or ""

    def is_local(self) -> bool:
        """Whether the base URL is on loopback, where only a simulated host installs the add-on."""
        return is_loopback(self.base_url)

    async def get(self, url: str, *, outgoing: bool = False) -> ProbeResponse:
        """Request an address; only for checks that are skipped without a probe.

        Args:
            url: The address.
            outgoing: Whether to use the proxy and the certificates with which the add-on sends requests.
        """
        assert self.probe is not None, "this check needs a probe"  # noqa: S101 - a mistake in addonkit, not a state
        return await self.probe.get(url, outgoing=outgoing)

    async def get_descriptor(self) -> ProbeResponse:
        """Request the descriptor below the base URL."""
        return await self.get(self.base_url + DESCRIPTOR_PATH)
