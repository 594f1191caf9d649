"""Metrics of host calls: counted by plugin and outcome."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.errors import HostError, ResponseInvalid
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import calling_addon

TOKEN = "a-token-of-sixteen"
MYSELF = "/rest/api/3/myself"


async def rest_metrics(caller):
    """Return the REST metrics, by name and labels."""
    answer = await caller.host.request("GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if line.startswith("addonkit_rest_")]
    return {name: float(value) for name, _, value in lines}


async def test_metrics_count_calls_by_plugin_and_outcome(tmp_path):
    async with calling_addon(tmp_path, operations={"metrics_token": TOKEN}) as caller:
        replies = [Reply({}), Reply(status=404), Reply(status=503), Reply({})]
        caller.rest.answer("GET", MYSELF, by=lambda _: replies.pop(0))
        await caller(lambda host: host.get(MYSELF))
        with pytest.raises(HostError):
            await caller(lambda host: host.get(MYSELF))
        await caller(lambda host: host.get(MYSELF), plugin="neighbour")
        caller.rest.answer("GET", "/rest/api/3/serverInfo", content=b"x" * 2000)
        with pytest.raises(ResponseInvalid):
            await caller(lambda host: host.get("/rest/api/3/serverInfo", max_bytes=1000))
        leaving = asyncio.create_task(caller(lambda host: host.get("/rest/api/3/field")))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        numbers = await rest_metrics(caller)
    ours = {name: value for name, value in numbers.items() if "_bucket" not in name and "_sum" not in name}
    assert {name: value for name, value in ours.items() if "_created" not in name} == {
        'addonkit_rest_requests_total{outcome="2xx",plugin="caller"}': 1,
        'addonkit_rest_requests_total{outcome="4xx",plugin="caller"}': 1,
        'addonkit_rest_requests_total{outcome="aborted",plugin="caller"}': 1,
        'addonkit_rest_requests_total{outcome="invalid",plugin="caller"}': 1,
        'addonkit_rest_requests_total{outcome="2xx",plugin="neighbour"}': 1,
        'addonkit_rest_retries_total{plugin="neighbour"}': 1,
        'addonkit_rest_request_duration_seconds_count{plugin="caller"}': 4,
        'addonkit_rest_request_duration_seconds_count{plugin="neighbour"}': 1,
    }
