"""The example plugin for Sentry reports failures, through a transport that keeps what would be sent."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from tests.support import failing_plugin
from tests.support.failing_plugin import SECRET, TOKEN, failing_addon

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "sentry"
DSN = "https://public@sentry.example/1"
sent = []


class KeptTransport(Transport):
    """Keeps envelopes."""

    def capture_envelope(self, envelope):
        sent.append(envelope)


@pytest.fixture
async def failing(tmp_path, monkeypatch):
    sent.clear()
    monkeypatch.syspath_prepend(str(EXAMPLE))
    client = sentry_sdk.Client

    class OfflineClient(client):
        def __init__(self, **options):
            super().__init__(**options, transport=KeptTransport)

    monkeypatch.setattr(sentry_sdk, "Client", OfflineClient)
    sections = {"plugin": {"sentry": {"dsn": DSN, "environment": "tests"}}}
    async with failing_addon(tmp_path, {"sentry": "addonkit_sentry:plugin"}, **sections) as running:
        await running.host.settled()
        yield running
    sys.modules.pop("addonkit_sentry", None)


async def event_of(count=1):
    """Wait for events, and return the last one with its text."""
    async with asyncio.timeout(20):
        while len(sent) < count:  # noqa: ASYNC110 - the hook runs in the background
            await asyncio.sleep(0.01)
    event = sent[-1].get_event()
    return event, orjson.dumps(event, default=str).decode()


@pytest.mark.parametrize("way", ["lookup", "type", "unusual"])
async def test_sentry_gets_the_failure_of_a_page_with_its_tags(failing, way):
    answer = await failing.host.open("failing-page", issue={"id": way})
    event, text = await event_of()
    tags = event["tags"]
    assert tags["addonkit.tenant"] == failing.host.site.client_key
    assert tags["addonkit.request_id"] == answer.headers["x-request-id"]
    assert (tags["addonkit.kind"], tags["addonkit.name"]) == ("request", "failing.page")
    [exception] = event["exception"]["values"]
    assert exception["type"] == {"lookup": "KeyError", "type": "TypeError", "unusual": "Unusual"}[way]
    assert exception["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["environment"] == "tests"
    assert TOKEN not in text
    assert all("vars" not in frame for frame in exception["stacktrace"]["frames"])
    assert "jwt" not in text.replace("_jwt", "")


async def test_sentry_gets_the_failure_of_a_job_with_its_number_and_attempt(failing):
    await failing.host.fire("jira:issue_updated", identifier="delivery-1", issue={"id": "10001"})
    event, _ = await event_of()
    tags = event["tags"]
    assert (tags["addonkit.kind"], tags["addonkit.attempt"], tags["addonkit.will_retry"]) == ("webhook", "1", "True")
    assert tags["addonkit.job_id"].isdecimal()


async def test_sentry_that_fails_changes_no_answer(failing, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["addonkit_sentry"], "client_of", lambda *_: failing_plugin.fail("type"))
    assert (await failing.host.open("failing-page", issue={"id": "lookup"})).status == 500
    async with asyncio.timeout(10):
        while failing.addon.runtime.failure_reporter._calls:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    written = capsys.readouterr().out
    assert "failure_hook.failed" in written
    assert SECRET not in written.partition("failure_hook.failed")[2].partition("\n")[0]
