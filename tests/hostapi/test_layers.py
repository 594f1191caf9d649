"""A host call passes each layer once per attempt, from ``SiteHost.request`` down to the transport; none calls up."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import addonkit.hostapi
import pytest
from addonkit.hostapi import host, retry
from addonkit.hostapi.host import SiteHost
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.signing import SigningTransport
from addonkit.hostapi.transport import Transport
from addonkit.tenancy.record import IdentityKind
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import calling_addon

MYSELF = "/rest/api/3/myself"
ROOM = Path(addonkit.hostapi.__file__).parent
LAYERS = ["request", "build_call", "check_call", "retry", "transmit", "transport"]


@pytest.fixture
def entered(monkeypatch):
    """The layers in the order in which calls enter them."""
    order = []

    def count(owner, name, layer):
        function = getattr(owner, name)

        @functools.wraps(function)
        def counting(*args, **kwargs):
            order.append(layer)
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    count(SiteHost, "request", "request")
    count(host, "build_call", "build_call")
    count(ScopeCheck, "check_call", "check_call")
    count(retry, "send", "retry")
    count(SigningTransport, "transmit", "transmit")
    count(Transport, "send", "transport")
    monkeypatch.setattr(retry, "backoff_s", lambda *_, **__: 0.01)
    return order


async def test_layers_are_entered_once_in_their_order(tmp_path, entered):
    async with calling_addon(tmp_path) as caller:
        caller.rest.answer("GET", MYSELF, {"ok": 1})
        assert await caller(lambda host: host.get(MYSELF)) == {"ok": 1}
    assert entered == LAYERS


async def test_layers_below_retry_are_entered_once_per_attempt(tmp_path, entered):
    replies = [Reply(status=503), Reply(status=502), Reply({"ok": 1})]
    async with calling_addon(tmp_path) as caller:
        caller.rest.answer("GET", MYSELF, by=lambda _: replies.pop(0))
        assert await caller(lambda host: host.get(MYSELF)) == {"ok": 1}
    assert entered == [*LAYERS, "transmit", "transport", "transmit", "transport"]


async def test_layers_below_retry_are_entered_once_per_redirect(tmp_path, entered):
    async with calling_addon(tmp_path) as caller:
        caller.rest.answer("GET", "/rest/api/3/old", status=301, headers={"location": MYSELF})
        caller.rest.answer("GET", MYSELF, {"ok": 1})
        assert await caller(lambda host: host.get("/rest/api/3/old")) == {"ok": 1}
    assert entered == [*LAYERS, "check_call", "transmit", "transport"]


async def test_layers_sign_a_second_time_after_a_refused_token(tmp_path, entered):
    async with calling_addon(tmp_path) as caller:
        caller.rest.answer("GET", MYSELF, {"ok": 1})
        record = await caller.addon.directory.get(IdentityKind.CLIENT_KEY, caller.host.site.client_key)
        await caller.host.reinstall(caller.host.site)
        caller.addon.directory._known[caller.host.site.client_key] = record
        assert await caller(lambda host: host.get(MYSELF)) == {"ok": 1}
    assert Counter(entered) == Counter([*LAYERS, "transport"])


def imports_of_room():
    """The modules of the room by name, with the modules that each imports, also under TYPE_CHECKING."""
    graph = {}
    for file in ROOM.glob("*.py"):
        found = graph[file.stem] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "addonkit.hostapi":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("addonkit.hostapi."):
                found.add(node.module.rpartition(".")[2])
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("addonkit.hostapi") for alias in node.names)
    return graph


def test_layers_import_downwards_without_a_circle():
    graph = imports_of_room()
    order = list(TopologicalSorter(graph).static_order())
    ways = ["transport", "rate_limit", "retry", "host", "client"]
    assert sorted(ways, key=order.index) == ways
    assert not graph["retry"] & {"client", "host", "signing", "scopes", "user_tokens"}
    assert not graph["signing"] & {"client", "host", "retry", "scopes"}
    assert not graph["transport"]
    assert [module for module, imported in graph.items() if "client" in imported] == []
