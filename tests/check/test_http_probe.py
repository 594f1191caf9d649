"""The probe: time-outs, and what it sends."""

from __future__ import annotations

from typing import Any

from addonkit.app import Addon
from addonkit.check import CheckContext, HttpProbe, run_checks
from addonkit.check.context import summarize
from addonkit.check.run import REMOTE
from addonkit.settings import parse_key

from tests.support.checks import (
    REMOTE_KEY,
    Application,
    Outside,
)
from tests.support.public_address import bind


async def test_probe_gives_up_on_an_address_that_never_responds(outside: Outside) -> None:
    silent = bind()
    silent.listen()
    async with HttpProbe(outside.authority.trusting(), timeout_s=0.2) as probe:
        case = CheckContext(outside.deployment(silent.getsockname()[1], 1), probe)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    silent.close()
    assert "it did not respond within 0.2 s" in found.message


async def test_probe_sends_neither_credentials_nor_cookies(outside: Outside) -> None:
    seen: list[Any] = []

    def noting(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            seen.extend(scope["headers"])
            await addon(scope, receive, send)

        return proxy

    async with outside.case(noting) as case:
        async for _ in run_checks(case):
            pass
    assert {name for name, _ in seen} <= {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent"}
    assert parse_key(REMOTE_KEY)[0]
