"""Metrics: which events are counted, their labels, and values that must not become labels."""

import asyncio

import jwt
import pytest
import pytest_asyncio
from addonkit.edge.request import InboundRequest, RequestRecord
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind
from addonkit.testing import Site

from tests.support.plugin_under_test import PAUSE, running_addon
from tests.support.scraped_metrics import BEARER, TOKEN, growth, samples, value
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUESTS, REFUSALS = "addonkit_inbound_requests_total", "addonkit_inbound_refusals_total"
CALLS = "addonkit_inbound_host_requests_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    async with running_addon(tmp_path_factory.mktemp("addon"), operations={"metrics_token": TOKEN}) as running:
        yield running


async def test_metrics_count_and_time_a_page_by_plugin_and_route(wire):
    labels = {"plugin": "under_test", "route": "under_test.page"}
    assert await growth(wire, wire.open(PAGE), REQUESTS, **labels, status="2xx", worker="0") == 1
    assert await growth(wire, wire.open(PAGE), "addonkit_inbound_request_duration_seconds_count", **labels) == 1


async def test_metrics_count_a_failing_page_as_5xx(wire):
    failing = wire.open("/under_test/failing")
    assert await growth(wire, failing, REQUESTS, route="under_test.failing", status="5xx") == 1


async def test_metrics_count_a_post_request_by_its_route(wire):
    session = await wire.session()
    call = wire.send(f"Session {session}", "POST", "/under_test/who")
    assert await growth(wire, call, REQUESTS, route="under_test.who_posted", status="2xx") == 1


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/atlassian-connect.json", {"plugin": "addonkit", "route": "descriptor", "status": "2xx"}),
        ("/healthz", {"plugin": "addonkit", "route": "healthz", "status": "2xx"}),
        ("/under_test/page", {"plugin": "under_test", "route": "under_test.page", "status": "4xx"}),
        ("/nowhere", {"plugin": "", "route": "", "status": "4xx"}),
    ],
)
async def test_metrics_count_responses_of_the_runtime_by_its_own_routes(wire, path, labels):
    assert await growth(wire, wire.ask("GET", path), REQUESTS, **labels) == 1


async def test_metrics_count_a_caller_who_leaves_as_aborted(wire):
    before = await value(wire, REQUESTS, status="aborted") or 0
    PAUSE.reset()
    leaving = asyncio.create_task(wire.open("/under_test/waiting"))
    async with asyncio.timeout(10):
        await PAUSE.reached.wait()
    leaving.cancel()
    await asyncio.wait({leaving})
    assert await value(wire, REQUESTS, status="aborted") == before + 1


async def test_metrics_labels_never_come_from_the_caller(wire):
    before = {tuple(one.labels.items()) for one in await samples(wire)}
    for method, path in [("GET", "/inv/ented"), ("BREW", "/under_test/inv-ented"), ("POST", "/inv-ented/static/x")]:
        await wire.ask(method, path, [("x-request-id", "inv-ented")])
        await wire.ask(method, f"{path}?jwt={wire.token('GET', path, iss='inv-ented')}")
    text = (await wire.ask("GET", "/metrics", BEARER)).text
    assert "ented" not in text
    new = {tuple(one.labels.items()) for one in await samples(wire)} - before
    assert {dict(labels).get("plugin", "") for labels in new} <= {"", "addonkit", "under_test"}


async def test_metrics_contain_no_site_user_or_token(wire):
    await wire.open(PAGE)
    await wire.session()
    text = (await wire.ask("GET", "/metrics", BEARER)).text
    for hidden in (wire.site.client_key, wire.site.shared_secret, "acc-1", "AB-1", TOKEN, wire.site.base_url):
        assert hidden not in text


def signed_by_another(wire):
    return jwt.encode(wire.claims("GET", PAGE), "x" * 48, algorithm="HS256")


@pytest.mark.parametrize(
    ("reason", "token"),
    [
        ("signature", signed_by_another),
        ("token", lambda _: "x.y.z"),
        ("expired", lambda wire: wire.token("GET", PAGE, iat=1000, exp=1100)),
        ("future", lambda wire: wire.token("GET", PAGE, iat=2**40, exp=2**40 + 60)),
        ("audience", lambda wire: wire.token("GET", PAGE, aud="https://elsewhere.example.com")),
        ("query", lambda wire: wire.token("GET", f"{PAGE}0")),
        ("tenant", lambda wire: wire.token("GET", PAGE, iss="nobody")),
    ],
)
async def test_metrics_count_refused_credentials_by_cause(wire, reason, token):
    refused = wire.ask("GET", f"{PAGE}&jwt={token(wire)}")
    assert await growth(wire, refused, REFUSALS, reason=reason) == 1


async def test_metrics_count_a_proof_that_is_too_weak(wire):
    assert await growth(wire, wire.ask("GET", PAGE), REFUSALS, reason="proof") == 1


async def test_metrics_count_a_replay(wire):
    token, body = wire.installed(Site(wire.host.keys, "jira", "http://127.0.0.1:9000"))
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    assert await growth(wire, wire.send_lifecycle("installed", token, body), REFUSALS, reason="replay") == 1


async def test_metrics_count_a_wrong_metrics_token(wire):
    assert await growth(wire, wire.ask("GET", "/metrics"), REFUSALS, reason="metrics_token") == 1


@pytest.mark.parametrize("event", ["installed", "enabled", "disabled", "uninstalled"])
async def test_metrics_count_lifecycle_requests_by_outcome(wire, event):
    site = await wire.host.install()
    labels = {"kind": "lifecycle", "event": event}
    call = wire.send_lifecycle(event, *wire.lifecycle_request(site, event))
    assert await growth(wire, call, CALLS, **labels, outcome="accepted") == 1
    assert await growth(wire, wire.send_lifecycle(event, None, b"{}"), CALLS, **labels, outcome="refused") == 1
    assert await value(wire, CALLS, **labels, outcome="unavailable") == 0
    timed = await value(wire, "addonkit_inbound_host_request_duration_seconds_count", **labels)
    assert timed == await value(wire, CALLS, **labels)


async def test_metrics_count_a_lifecycle_request_without_database_as_unavailable(wire, site):
    labels = {"kind": "lifecycle", "event": "disabled", "outcome": "unavailable"}
    wire.rows("ALTER TABLE addonkit_used_token RENAME TO elsewhere")
    try:
        assert (
            await growth(
                wire, wire.send_lifecycle("disabled", *wire.lifecycle_request(site, "disabled")), CALLS, **labels
            )
            == 1
        )
    finally:
        wire.rows("ALTER TABLE elsewhere RENAME TO addonkit_used_token")


async def test_metrics_count_tenants_in_memory(wire, monkeypatch):
    sites = Directory(wire.addon.store)
    monkeypatch.setattr(wire.addon.metrics, "_directory", sites)
    monkeypatch.setattr(wire.addon.metrics, "_prometheus", None)
    for _ in range(3):
        await sites.get(IdentityKind.CLIENT_KEY, wire.site.client_key)
    found = "addonkit_directory_lookups_total"
    assert [await value(wire, found, result=result) for result in ("hit", "miss")] == [2, 1]
    assert await value(wire, "addonkit_directory_tenants") == 1


JOB = (
    "INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, state, due_at, starts, "
    "failures, deaths, created_at) "
    "VALUES (1, 'neighbour', 'x', 'job', '', 1, '{{}}', '{state}', 1e12, 0, {failures}, 0, 0)"
)


async def test_metrics_count_jobs_by_plugin(wire):
    assert await value(wire, "addonkit_jobs_pending", plugin="neighbour", worker="all") == 0
    for state, failures in (("waiting", 0), ("held", 0), ("waiting", 3), ("done", 0), ("dead", 8)):
        wire.rows(JOB.format(state=state, failures=failures))
    wire.addon.metrics._queue_stats_expire = 0
    assert await value(wire, "addonkit_jobs_pending", plugin="neighbour") == 3
    assert await value(wire, "addonkit_jobs_failing", plugin="neighbour") == 1
    assert await value(wire, "addonkit_jobs_dead", plugin="neighbour") == 1


async def test_metrics_without_a_database_omit_only_the_queue(wire):
    wire.rows("ALTER TABLE addonkit_job RENAME TO elsewhere")
    wire.addon.metrics._queue_stats_expire = 0
    try:
        assert await value(wire, "addonkit_jobs_pending") is None
        assert await value(wire, REQUESTS) > 0
    finally:
        wire.rows("ALTER TABLE elsewhere RENAME TO addonkit_job")


async def test_metrics_scrapes_share_one_query_of_the_queue(wire, monkeypatch):
    asked = []
    real = wire.addon.metrics._read_queue_stats

    async def counting():
        asked.append(1)
        return await real()

    monkeypatch.setattr(wire.addon.metrics, "_read_queue_stats", counting)
    wire.addon.metrics._queue_stats_expire = 0
    for _ in range(10):
        await samples(wire)
    assert len(asked) == 1


async def test_metrics_measure_the_event_loop_lag(wire):
    for _ in range(100):
        if await value(wire, "addonkit_event_loop_lag_seconds_count"):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the event loop's lag was measured nowhere within 5 s")


async def test_metrics_count_an_invalid_status_as_5xx(wire):
    request = InboundRequest("GET", "/", "", [], "id", record=RequestRecord(status=799))
    before = await value(wire, REQUESTS, status="5xx") or 0
    wire.addon.metrics.count(request, 0.1)
    assert await value(wire, REQUESTS, status="5xx") == before + 1
