"""Metrics: which events are counted, their labels, and values that must not become labels."""

import asyncio

import jwt
import pytest
import pytest_asyncio
from addonkit.edge.request import InboundRequest, RequestRecord
from addonkit.errors import StorageUnavailable
from addonkit.jobs.recount import recount
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind
from addonkit.testing import Site
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from structlog.testing import capture_logs

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
    assert await growth(wire, wire.open(PAGE), REQUESTS, **labels, status="2xx") == 1
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
    async with asyncio.timeout(60):
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
    await wire.execute("ALTER TABLE addonkit_used_token RENAME TO elsewhere")
    try:
        assert (
            await growth(
                wire, wire.send_lifecycle("disabled", *wire.lifecycle_request(site, "disabled")), CALLS, **labels
            )
            == 1
        )
    finally:
        await wire.execute("ALTER TABLE elsewhere RENAME TO addonkit_used_token")


async def test_metrics_count_tenants_in_memory(wire, monkeypatch):
    sites = Directory(wire.addon.store)
    monkeypatch.setattr(wire.addon.metrics, "_directory", sites)
    monkeypatch.setattr(wire.addon.metrics, "_prometheus", None)
    for _ in range(3):
        await sites.get(IdentityKind.CLIENT_KEY, wire.site.client_key)
    found = "addonkit_directory_lookups_total"
    assert [await value(wire, found, result=result) for result in ("hit", "miss")] == [2, 1]
    assert await value(wire, "addonkit_directory_tenants") == 1


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
    async with asyncio.timeout(60):
        while not await value(wire, "addonkit_event_loop_lag_seconds_count"):  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.05)


async def test_metrics_count_an_invalid_status_as_5xx(wire):
    request = InboundRequest("GET", "/", "", [], "id", record=RequestRecord(status=799))
    before = await value(wire, REQUESTS, status="5xx") or 0
    wire.addon.metrics.count(request, 0.1)
    assert await value(wire, REQUESTS, status="5xx") == before + 1


async def add_jobs(wire):
    """Store jobs of a plugin that is enabled, and of one that is not, in each state."""
    rows = [("waiting", 0), ("waiting", 3), ("ready", 0), ("blocked", 0), ("held", 2), ("done", 1), ("dead", 8)]
    for plugin in ("neighbour", "switched_off"):
        for number, (state, failures) in enumerate(rows):
            await wire.execute(
                "INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, state, due_at, "
                f"starts, failures, deaths, created_at) VALUES (1, '{plugin}', 'x{number}', 'job', ?, 1, '{{}}', "
                f"'{state}', 1e12, 0, {failures}, 0, 0)",
                b"",
            )
    wire.addon.metrics._queue_stats_expire = 0


COUNTS = {"pending": 5, "waiting": 2, "ready": 1, "blocked": 1, "held": 1, "running": 0, "failing": 2, "dead": 1}


async def test_metrics_count_jobs_by_plugin_and_state_also_of_plugins_that_are_off(tmp_path):
    # Without a worker, which would run the jobs.
    async with running_addon(tmp_path, operations={"metrics_token": TOKEN}, jobs={"in_server": False}) as wire:
        with wire.addon.scope():
            await recount()
        assert await value(wire, "addonkit_jobs_pending", plugin="switched_off") is None
        await add_jobs(wire)
        for plugin in ("neighbour", "switched_off"):
            found = {name: await value(wire, f"addonkit_jobs_{name}", plugin=plugin) for name in COUNTS}
            assert found == COUNTS


async def test_metrics_keep_the_last_numbers_of_jobs_with_their_age(wire, monkeypatch):
    before = await value(wire, "addonkit_jobs_pending", plugin="neighbour")
    real, reads = wire.addon.metrics._read_queue_stats, []

    async def unavailable():
        reads.append(1)
        raise StorageUnavailable("the database did not answer")

    monkeypatch.setattr(wire.addon.metrics, "_read_queue_stats", unavailable)
    with capture_logs() as lines:
        for _ in range(3):
            wire.addon.metrics._queue_stats_expire = 0
            wire.addon.metrics._queue_stats_at -= 100
            assert await value(wire, "addonkit_jobs_pending", plugin="neighbour") == before
        assert await value(wire, "addonkit_queue_values_age_seconds") >= 300
        assert await value(wire, REQUESTS) > 0
        monkeypatch.setattr(wire.addon.metrics, "_read_queue_stats", real)
        wire.addon.metrics._queue_stats_expire = 0
        assert await value(wire, "addonkit_queue_values_age_seconds") < 100
    assert len(reads) == 3
    assert [line["event"] for line in lines if "queue" in line["event"]] == [
        "metrics.queue_not_read",
        "metrics.queue_read_again",
    ]


async def test_metrics_do_not_wait_for_a_database_that_hangs(wire, monkeypatch):
    monkeypatch.setattr("addonkit.edge.metrics.QUEUE_STATS_TIMEOUT_S", 0.02)
    never = asyncio.Event()

    async def hanging():
        await never.wait()

    monkeypatch.setattr(wire.addon.metrics, "_read_queue_stats", hanging)
    wire.addon.metrics._queue_stats_expire = 0
    before = wire.addon.metrics._queue_stats
    assert await value(wire, "addonkit_jobs_pending", plugin="neighbour") is not None
    assert wire.addon.metrics._queue_stats is before
    never.set()
    monkeypatch.undo()
    wire.addon.metrics._queue_stats_expire = 0
    assert await value(wire, "addonkit_jobs_pending", plugin="neighbour") is not None


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (None, False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ('application/openmetrics-text;version="1.0.0"', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=nonsense", False),
        ("APPLICATION/OpenMetrics-Text", True),
        (";;,,=", False),
    ],
    ids=str,
)
async def test_metrics_are_in_the_format_that_is_accepted(wire, accept, openmetrics):
    answer = await wire.ask("GET", "/metrics", [*BEARER, *([("accept", accept)] if accept is not None else [])])
    assert answer.text.endswith("# EOF\n") is openmetrics
    assert answer.header("content-type").startswith(
        "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    )


async def test_metrics_in_openmetrics_have_exemplars_of_requests(wire):
    accept = [*BEARER, ("accept", "application/openmetrics-text")]
    await wire.ask("GET", "/metrics", accept)
    page = await wire.open(PAGE)
    text = (await wire.ask("GET", "/metrics", accept)).text
    families = {family.name: family for family in openmetrics_families(text)}
    exemplars = [
        sample.exemplar.labels["request_id"]
        for sample in families["addonkit_inbound_request_duration_seconds"].samples
        if sample.exemplar
    ]
    assert page.header("x-request-id") in exemplars
    assert {"addonkit_jobs_pending", "process_cpu_seconds", "addonkit_job_retries"} <= families.keys()


async def test_metrics_show_the_use_of_connections_and_of_the_intake(wire):
    assert await value(wire, "addonkit_database_connections_max", worker="0") >= 1
    assert await value(wire, "addonkit_database_connections_in_use", worker="0") >= 0
    reserving = wire.addon.edge.webhooks.writer.reserve()
    with reserving as reservation:
        reservation.take(1234)
        assert await value(wire, "addonkit_webhook_intake_bytes", worker="0") == 1234
    assert await value(wire, "addonkit_webhook_intake_bytes", worker="0") == 0
    assert await value(wire, "addonkit_webhook_intake_rows", worker="0") == 0
    assert await value(wire, "addonkit_webhook_intake_rows_max", worker="0") == 1000
    assert await value(wire, "addonkit_webhook_intake_bytes_max", worker="0") == 64 * 1024 * 1024
    assert await value(wire, "addonkit_job_slots_free", worker="0") == 32
