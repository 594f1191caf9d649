"""The primary is killed under load and its standby promoted: no acknowledged webhook is lost, and none runs twice."""

from __future__ import annotations

import asyncio
from functools import partial

import httpx2
import pytest
from addonkit.testing import InstallKeys

from tests.support.postgresql_pair import postgresql_pair
from tests.support.process_group import crashing, free_ports, prepare
from tests.support.served import until

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

DATABASE = "kit"
WEBHOOKS, CLIENTS = 1500, 8
KILLED_AFTER = 500
"""Number of acknowledged webhooks when the primary is killed."""
RECOVERY_S = 60.0
OUTAGE_DELIVERIES = 20
STARTED = "2 workers)"

UNFINISHED = "SELECT count(*) FROM addonkit_job WHERE kind = 'webhook' AND state NOT IN ('done', 'dead')"
# Done jobs move to a table of their own after a minute.
STATES = """
SELECT state, count(*) FROM (
    SELECT state, kind FROM addonkit_job UNION ALL SELECT 'done', kind FROM addonkit_done_job
) AS job WHERE kind = 'webhook' GROUP BY state
"""


async def test_webhooks_survive_the_loss_of_the_primary(tmp_path):
    keys, ports = InstallKeys(), free_ports(2)
    serve = [["serve", "--no-migrate", "--workers", "2", "--bind", f"127.0.0.1:{port}"] for port in ports]
    commands = [*serve, ["work", "--no-migrate"], ["work", "--no-migrate"]]
    with postgresql_pair() as pair:
        pair.server.create(DATABASE)
        async with keys.serve() as url:
            prepare(tmp_path, url, pair.settings(DATABASE), in_server=False)
            async with crashing(tmp_path, keys, ports, commands) as (processes, sender):
                # A supervisor whose workers have not all started yet stops if the database is lost.
                await until(lambda: all(STARTED in processes.log(number) for number in range(len(ports))), RECOVERY_S)
                await fail_over_under_load(pair, sender)
                await until(partial(is_drained, pair), RECOVERY_S)
                assert await processes.end() == [0] * len(commands)
                logs = [processes.log(number) for number in range(len(commands))]
        effects = pair.on_standby().fetch(DATABASE, "SELECT identifier FROM stranger_teller_effect")
        states = pair.on_standby().fetch(DATABASE, STATES)
    assert sorted(row[0] for row in effects) == sorted(sender.accepted)
    assert states == [("done", len(sender.accepted))]
    assert not any("Traceback" in log for log in logs)


async def fail_over_under_load(pair, sender):
    """Send webhooks from several clients, and kill the primary and promote the standby in the middle."""
    deliveries = [f"delivery-{number}" for number in range(WEBHOOKS)]
    sending = asyncio.create_task(sender.send_all(deliveries, CLIENTS))
    await until(lambda: len(sender.accepted) >= KILLED_AFTER, RECOVERY_S)
    await asyncio.to_thread(pair.primary.kill)
    await until(partial(have_readiness, sender.addresses, 503), RECOVERY_S)
    before = set(sender.accepted)
    assert await statuses_without_a_primary(sender) == {503}
    assert sender.accepted == before
    assert not sending.done()
    await asyncio.to_thread(pair.promote)
    await until(partial(have_readiness, sender.addresses, 200), RECOVERY_S)
    async with asyncio.timeout(RECOVERY_S):
        await sending
    assert sender.accepted == set(deliveries)
    assert sender.statuses == {503}


async def statuses_without_a_primary(sender):
    """Return the statuses of webhooks that no other request repeats; none of them may be acknowledged."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        sent = [sender.send_once(client, f"outage-{number}") for number in range(OUTAGE_DELIVERIES)]
        return set(await asyncio.gather(*sent))


async def have_readiness(addresses, status):
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        return {(await client.get(f"{address}/readyz")).status_code for address in addresses} == {status}


async def is_drained(pair):
    rows = await asyncio.to_thread(pair.on_standby().fetch, DATABASE, UNFINISHED)
    return rows == [(0,)]
