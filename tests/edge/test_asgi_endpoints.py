"""The edge's own endpoints: one table for lifecycle requests, webhooks and session renewal."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIFECYCLE = [f"/lifecycle/{event}" for event in ("installed", "enabled", "disabled", "uninstalled")]


async def test_endpoints_are_lifecycle_webhooks_and_session_renewal(wire):
    edge = wire.addon.edge
    assert edge._endpoints.keys() == {*LIFECYCLE, "/addonkit/session", *edge.webhooks.specs}


@pytest.mark.parametrize("path", [*LIFECYCLE, "/addonkit/session"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_endpoint_accepts_only_post(wire, path, method):
    answer = await wire.ask(method, path)
    assert (answer.status, answer.header("allow")) == (405, "POST")


@pytest.mark.parametrize("path", [*LIFECYCLE, "/addonkit/session"])
async def test_endpoint_refuses_a_request_without_a_token(wire, path):
    answer = await wire.ask("POST", path)
    assert (answer.status, answer.header("cache-control")) == (401, "no-store")
