"""Fixtures of the tests of host calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from addonkit.current import plugin_scope

from tests.support.calling_plugin import CallingAddon, seen, site_at

MYSELF = "/rest/api/3/myself"


@pytest.fixture
def clean(caller: CallingAddon) -> None:
    """No requests so far."""
    caller.rest.requests.clear()
    caller.rest.rejected.clear()
    seen.clear()


@pytest.fixture
def ask_at(caller: CallingAddon) -> Callable[..., Awaitable[Any]]:
    """Makes a host call to a new site that is served at a URL."""

    async def ask(url: str, method: str = "GET", path: str = MYSELF, **options: Any) -> Any:
        host = caller.clients.of(await site_at(caller, url), None)
        with plugin_scope("caller"):
            return await host.request(method, path, **options)

    return ask
