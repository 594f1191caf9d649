"""Metrics of host calls: counted by plugin and outcome."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.errors import HostError, ResponseInvalid
from addonkit.testing.rest import Reply

from tests.support.calling_plugin import asking_addon

TOKEN = "a-token-of-sixteen"
MYSELF = "/rest/api/3/myself"


async def counted(asking):
    """The numbers of calls, by name and labels."""
    answer = await asking.host.request("GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if line.startswith("addonkit_rest_")]
    return {name: float(value) for name, _, value in lines}


async def test_metrics_count_calls_by_plugin_and_outcome(tmp_path):
    async with asking_addon(tmp_path, operations={"metrics_token": TOKEN}) as asking:
        replies = [Reply({}), Reply(status=404), Reply(status=503), Reply({})]
        asking.rest.answer("GET", MYSELF, by=lambda _: replies.pop(0))
        await asking(lambda host: host.get(MYSELF))
        with pytest.raises(HostError):
            await asking(lambda host: host.get(MYSELF))
        await asking(lambda host: host.get(MYSELF), plugin="neighbour")
        asking.rest.answer("GET", "/rest/api/3/serverInfo", content=b"x" * 2000)
        with pytest.raises(ResponseInvalid):
            await asking(lambda host: host.get("/rest/api/3/serverInfo", max_bytes=1000))
        leaving = asyncio.create_task(asking(lambda host: host.get("/rest/api/3/field")))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        numbers = await counted(asking)
    ours = {name: value for name, value in numbers.items() if "_bucket" not in name and "_sum" not in name}
    assert {name.replace(',worker="0"', ""): value for name, value in ours.items() if "_created" not in name} == {
        'addonkit_rest_requests_total{outcome="2xx",plugin="asking"}': 1,
        'addonkit_rest_requests_total{outcome="4xx",plugin="asking"}': 1,
        'addonkit_rest_requests_total{outcome="aborted",plugin="asking"}': 1,
        'addonkit_rest_requests_total{outcome="invalid",plugin="asking"}': 1,
        'addonkit_rest_requests_total{outcome="2xx",plugin="neighbour"}': 1,
        'addonkit_rest_retries_total{plugin="neighbour"}': 1,
        'addonkit_rest_request_duration_seconds_count{plugin="asking"}': 4,
        'addonkit_rest_request_duration_seconds_count{plugin="neighbour"}': 1,
    }
