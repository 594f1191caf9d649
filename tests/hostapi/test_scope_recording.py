"""What operators see of calls to the host: how many, what they came to, and which scopes they need."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.check import CheckContext
from addonkit.check.configuration import scopes
from addonkit.check.context import State, summarize
from addonkit.errors import HostError, ResponseInvalid, SettingsInvalid
from addonkit.settings import read_settings
from addonkit.testing.rest import Reply

from tests.support.calling_plugin import AskingDeployment, asking_addon

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


def deployment(directory, record=None):
    addon = {"key": "a", "name": "A", "base_url": "http://localhost:8000", "plugins": ["asking", "neighbour"]}
    host = {"record_calls": record} if record else {}
    return AskingDeployment(read_settings(None, {"addon": addon, "host": host}), directory)


async def look(directory, record=None):
    return summarize("scopes", [result async for result in scopes(CheckContext(deployment(directory, record)))])


async def test_scope_check_without_a_recording_is_skipped(tmp_path):
    assert (await look(tmp_path)).state is State.SKIPPED
    found = await look(tmp_path, "calls.jsonl")
    assert (found.state, found.message.partition(" does not exist yet")[0]) == (State.SKIPPED, "'calls.jsonl'")


async def test_scopes_that_no_recorded_call_needed_are_reported(tmp_path):
    lines = [
        '{"plugin":"asking","scope":"READ","call":"GET /rest/api/3/myself"}',
        '{"plugin":"asking","scope":"WRITE","call":"POST /rest/api/3/issue"}',
        '{"plugin":"neighbour","scope":"READ","call":"GET /rest/api/3/myself"}',
    ]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    found = await look(tmp_path, "calls.jsonl")
    assert found.state is State.WARN
    assert found.message == (
        "no recorded call needed 'ACT_AS_USER' of plugin 'asking', 'DELETE' of plugin 'asking'; remove the scopes that "
        "the add-on does not need"
    )


async def test_scopes_that_were_all_needed_are_ok(tmp_path):
    calls = [("asking", "ACT_AS_USER"), ("asking", "DELETE"), ("asking", "WRITE"), ("neighbour", "READ")]
    lines = [f'{{"plugin":"{plugin}","scope":"{scope}","call":"x"}}' for plugin, scope in calls]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    assert (await look(tmp_path, "calls.jsonl")).state is State.OK


async def test_recording_with_a_malformed_line_names_the_line(tmp_path):
    (tmp_path / "calls.jsonl").write_text('{"plugin":"a","scope":"READ"}\nnot one\n')
    with pytest.raises(SettingsInvalid, match=r"line 2 of '.*calls.jsonl' is not a recorded call"):
        await look(tmp_path, "calls.jsonl")
