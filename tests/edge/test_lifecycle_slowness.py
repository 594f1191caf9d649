"""Slow bodies: which bodies the edge reads, and for how long."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio
from addonkit.edge.request import read_body
from addonkit.errors import PayloadOverdue
from addonkit.protocol.canonical import query_hash

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = ["installed", "uninstalled", "enabled", "disabled"]
HALF = [b'{"key": ', None]
SHORT_S, PATIENCE_S = 0.1, 20


@pytest_asyncio.fixture(loop_scope="module")
async def impatient(wire):
    """Return the add-on with a body timeout of a tenth of a second."""
    edge = wire.addon.edge
    wire.addon.edge = replace(
        edge,
        lifecycle=replace(edge.lifecycle, body_timeout_s=SHORT_S),
        renewal=replace(edge.renewal, body_timeout_s=SHORT_S),
        body_timeout_s=SHORT_S,
    )
    yield wire
    wire.addon.edge = edge


async def half_sent(wire, token, target, kind="application/json"):
    headers = [("authorization", f"JWT {token}"), ("content-type", kind)]
    async with asyncio.timeout(PATIENCE_S):
        return (await wire.ask("POST", target, headers, HALF)).status


@pytest.mark.parametrize("event", EVENTS)
async def test_body_timeout_of_a_lifecycle_request_is_a_408(impatient, site, event):
    token, body = impatient.lifecycle_request(site, event)
    assert await half_sent(impatient, token, f"/lifecycle/{event}") == 408
    assert (await impatient.send_lifecycle(event, token, body)).status == 204


async def test_body_timeout_of_a_session_renewal_is_a_408(impatient):
    assert await half_sent(impatient, impatient.site.context_token("acc-1"), "/addonkit/session") == 408


async def test_body_timeout_of_a_form_is_a_408(impatient):
    token = impatient.token("POST", "/under_test/drawn", qsh=query_hash("POST", "/under_test/drawn", "macro_id=m1"))
    assert await half_sent(impatient, token, "/under_test/drawn", "application/x-www-form-urlencoded") == 408


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("token", ["x", "a.b.c", "." * 9000])
async def test_body_is_not_read_without_a_valid_token(wire, event, token):
    assert await half_sent(wire, token, f"/lifecycle/{event}") == 401


@pytest.mark.parametrize("event", EVENTS)
async def test_body_is_not_read_with_another_algorithm(wire, site, event):
    by_the_host, by_the_site = wire.installed(site, event), wire.state_request(site, event)
    token, _ = by_the_site if event in ("installed", "uninstalled") else by_the_host
    assert await half_sent(wire, token, f"/lifecycle/{event}") == 401


@pytest.mark.parametrize("event", EVENTS)
async def test_body_is_not_read_with_a_token_for_another_request(wire, site, event):
    other = {"installed": "uninstalled", "uninstalled": "installed", "enabled": "disabled", "disabled": "enabled"}
    token, _ = wire.lifecycle_request(site, other[event])
    assert await half_sent(wire, token, f"/lifecycle/{event}") == 401


async def test_body_timeout_is_not_extended_by_single_bytes():
    async def receive():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(PayloadOverdue, match=r"within 0\.1 s"):
            await read_body(receive, 1_000_000, SHORT_S)


async def test_body_in_time_is_read_whole():
    chunks = [b"a", b"b", b"c"]

    async def receive():
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    assert await read_body(receive, 3, PATIENCE_S) == b"abc"
