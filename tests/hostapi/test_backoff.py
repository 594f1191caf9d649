"""Back-off of host calls: it grows, differs from call to call, and is waited for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from addonkit import HostError
from addonkit.hostapi import retry
from addonkit.hostapi.rate_limit import MAX_PAUSE_S
from addonkit.testing.exchange import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIELD = "/rest/api/3/field"


@pytest.fixture
def slept(monkeypatch):
    """The pauses of host calls, none of which lasts."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(retry, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    return pauses


def draw(monkeypatch, share):
    """Let each random number be this share of its range, from 0 to 1."""
    stub = SimpleNamespace(uniform=lambda low, high: low + share * (high - low))
    monkeypatch.setattr("addonkit.backoff.random", stub)
    monkeypatch.setattr(retry, "random", stub)


@pytest.mark.parametrize(("share", "pauses"), [(1, [0.5, 1.0, 2.0]), (0, [0.25, 0.5, 1.0]), (0.5, [0.375, 0.75, 1.5])])
@pytest.mark.parametrize("status", [502, 503, 504])
async def test_backoff_doubles_after_each_failure_within_its_jitter(caller, slept, monkeypatch, status, share, pauses):
    draw(monkeypatch, share)
    caller.rest.answer("GET", FIELD, status=status)
    with pytest.raises(HostError):
        await caller(lambda host: host.get(FIELD), site=await caller.host.install())
    assert slept == pauses


async def test_backoff_follows_a_connection_that_is_lost(caller, slept, monkeypatch):
    draw(monkeypatch, 1)
    left = [Reply(status=502), Reply(status=504), Reply({"ok": 1})]
    caller.rest.answer("GET", FIELD, by=lambda _: left.pop(0))
    assert await caller(lambda host: host.get(FIELD), site=await caller.host.install()) == {"ok": 1}
    assert slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 0.5), (2, 1.0), (8, 64.0), (13, 2048.0), (14, MAX_PAUSE_S), (99, MAX_PAUSE_S)]
)
async def test_backoff_grows_up_to_an_hour(monkeypatch, failures, longest_s):
    draw(monkeypatch, 1)
    assert retry._backoff_s(failures) == longest_s
    draw(monkeypatch, 0)
    assert retry._backoff_s(failures) == longest_s / 2


@pytest.mark.parametrize(("share", "jitter_s"), [(0, 0.0), (0.5, 0.5), (1, 1.0)])
async def test_pause_of_a_site_has_jitter_so_that_waiting_calls_do_not_come_together(
    caller, monkeypatch, share, jitter_s
):
    draw(monkeypatch, share)
    site = await caller.host.install()
    budget = caller.clients.limits.of((await caller.tenant(site)).id)
    left = [8.0, 0.0]
    monkeypatch.setattr(type(budget), "pause_s", lambda *_: left[0])
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        left.pop(0)

    monkeypatch.setattr(retry, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    caller.rest.answer("GET", FIELD, {"ok": 1})
    assert await caller(lambda host: host.get(FIELD, deadline_s=60), site=site) == {"ok": 1}
    assert pauses == [8.0 + jitter_s]
