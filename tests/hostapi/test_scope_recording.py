"""The recording of needed scopes, and the check that reads it."""

from __future__ import annotations

import pytest
import pytest_asyncio
from addonkit.check import CheckContext
from addonkit.check.configuration import scopes
from addonkit.check.context import State, summarize
from addonkit.errors import SettingsInvalid
from addonkit.hostapi.scope_recording import ScopeRecording, read_recording
from addonkit.settings import read_settings

from tests.support.calling_plugin import CallingDeployment, calling_addon

pytestmark = pytest.mark.asyncio(loop_scope="module")


def deployment(directory, record=None):
    addon = {"key": "a", "name": "A", "base_url": "http://localhost:8000", "plugins": ["caller", "neighbour"]}
    host = {"record_calls": record} if record else {}
    return CallingDeployment(read_settings(None, {"addon": addon, "host": host}), directory)


async def check_scopes(directory, record=None):
    return summarize("scopes", [result async for result in scopes(CheckContext(deployment(directory, record)))])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory):
    directory = tmp_path_factory.mktemp("caller")
    async with calling_addon(directory, host={"record_calls": "calls.jsonl"}) as running:
        yield running


async def test_scope_check_without_a_recording_is_skipped(tmp_path):
    assert (await check_scopes(tmp_path)).state is State.SKIPPED
    found = await check_scopes(tmp_path, "calls.jsonl")
    assert (found.state, found.message.partition(" does not exist yet")[0]) == (State.SKIPPED, "'calls.jsonl'")


async def test_scopes_that_no_recorded_call_needed_are_reported(tmp_path):
    lines = [
        '{"plugin":"caller","scope":"READ","call":"GET /rest/api/3/myself"}',
        '{"plugin":"caller","scope":"WRITE","call":"POST /rest/api/3/issue"}',
        '{"plugin":"neighbour","scope":"READ","call":"GET /rest/api/3/myself"}',
    ]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    found = await check_scopes(tmp_path, "calls.jsonl")
    assert found.state is State.WARN
    assert found.message == (
        "no recorded call needed 'ACT_AS_USER' of plugin 'caller', 'DELETE' of plugin 'caller'; remove the scopes that "
        "the add-on does not need"
    )


async def test_scopes_that_were_all_needed_are_ok(tmp_path):
    calls = [("caller", "ACT_AS_USER"), ("caller", "DELETE"), ("caller", "WRITE"), ("neighbour", "READ")]
    lines = [f'{{"plugin":"{plugin}","scope":"{scope}","call":"x"}}' for plugin, scope in calls]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    assert (await check_scopes(tmp_path, "calls.jsonl")).state is State.OK


async def test_recording_with_a_malformed_line_names_the_line(tmp_path):
    (tmp_path / "calls.jsonl").write_text('{"plugin":"a","scope":"READ"}\nnot one\n')
    with pytest.raises(SettingsInvalid, match=r"line 2 of '.*calls.jsonl' is not a recorded call"):
        await check_scopes(tmp_path, "calls.jsonl")


async def test_recording_contains_each_kind_of_call_once(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/*", {})
    for key in ("AB-1", "AB-2"):
        await caller(lambda host, key=key: host.get(f"/rest/api/3/issue/{key}"))
    file = caller.addon.deployment.directory / "calls.jsonl"
    lines = file.read_text().splitlines()
    assert lines.count('{"plugin":"caller","scope":"READ","call":"GET /rest/api/3/issue/{issueIdOrKey}"}') == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert "READ" in read_recording(file)["caller"]


async def test_recording_to_an_unwritable_file_stops_no_call(tmp_path):
    ScopeRecording(tmp_path / "nowhere" / "calls.jsonl").record("a", "READ", "GET /x")
