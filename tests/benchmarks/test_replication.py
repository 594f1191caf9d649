"""The kinds of replication whose cost is measured are in force while they are measured."""

from __future__ import annotations

import asyncio

import pytest
import replication
from addonkit.testing.postgresql import run_in_thread

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

STATES = "SELECT sync_state FROM pg_stat_replication"
COMMIT = "SHOW synchronous_commit"


@pytest.fixture(scope="module")
def pair():
    with replication.pair_on_disk() as running:
        yield running


@pytest.mark.parametrize(
    ("mode", "states", "commit"),
    [
        pytest.param("no standby", [], "on", id="no standby"),
        pytest.param("asynchronous", [("async",)], "on", id="asynchronous"),
        pytest.param("remote_write", [("sync",)], "remote_write", id="remote_write"),
        pytest.param("on", [("sync",)], "on", id="on"),
        pytest.param("remote_apply", [("sync",)], "remote_apply", id="remote_apply"),
    ],
)
def test_kind_of_replication_is_in_force(pair, mode, states, commit):
    with replication.replicating(pair, mode):
        assert pair.server.fetch(None, STATES) == states
        assert pair.server.fetch(None, COMMIT) == [(commit,)]


def test_cpu_time_of_a_server_contains_that_of_closed_connections(pair):
    def used():
        return replication.server_cpu_s(pair.primary)

    before = used()
    pair.server.fetch(None, "SELECT count(*) FROM generate_series(1, 3000000)")
    run_in_thread(asyncio.sleep(0.5))
    assert used() - before > 0.05
