"""Spans of requests, jobs, host calls and statements, recorded with OpenTelemetry's SDK and kept in memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from contextvars import Context

import pytest
from addonkit.database.sql import execute, fetch
from addonkit.errors import StorageUnavailable
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.origin import Trace
from addonkit.spans import SpanKind
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.rest import Reply
from opentelemetry import trace as otel
from tortoise.transactions import in_transaction

from tests.support import failing_plugin
from tests.support.calling_plugin import calling_addon
from tests.support.failing_plugin import SECRET, TOKEN, failing_addon
from tests.support.traced import id_of, kept_spans, parent_of, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SENT = f"00-{TRACE}-{PARENT}-01"
DESCRIPTOR = "GET /atlassian-connect.json"
"""The simulated host reads it before it sends a webhook."""
MYSELF = "/rest/api/3/myself"
ISSUE = {"id": "10001", "key": "AB-1"}
ON = {"tracing": True}


@pytest.fixture
def spans(monkeypatch):
    with kept_spans(monkeypatch) as kept:
        yield kept


@pytest.fixture
async def caller(tmp_path, spans):
    async with calling_addon(tmp_path, operations=ON) as running:
        running.rest.answer("GET", MYSELF, {"accountId": "me"})
        running.rest.answer("GET", "/rest/api/3/issue/10001", ISSUE)
        await running.host.settled()
        await running.host.descriptor()
        spans.clear()
        yield running


@pytest.fixture
async def failing(tmp_path, spans):
    async with failing_addon(tmp_path, operations=ON) as running:
        await running.host.settled()
        spans.clear()
        yield running


async def fire(addon, event="jira:issue_updated", header=None, identifier="delivery-1"):
    addon.host.client.headers.update({} if header is None else {"traceparent": header})
    [answer] = await addon.host.fire(event, identifier=identifier, issue=ISSUE)
    addon.host.client.headers.pop("traceparent", None)
    assert answer.status_code == 204
    await addon.host.settled()
    return answer.headers["x-request-id"]


async def enqueue(addon, way):
    with tenant_scope(await addon.tenant()):
        await failing_plugin.attempt.enqueue(way=way)


async def test_spans_of_a_webhook_its_job_and_its_host_call_are_one_trace(caller, spans):
    await fire(caller, header=SENT)
    request, job = spans.named("POST /webhooks/caller/updated"), spans.named("process caller.updated")
    stored, call = spans.named("INSERT addonkit_job"), spans.named(f"GET {MYSELF}")
    assert {trace_of(each) for each in (request, job, stored, call)} == {TRACE}
    assert parent_of(request) == int(PARENT, 16)
    assert [parent_of(each) for each in (stored, job, call)] == [id_of(request), id_of(request), id_of(job)]
    [sent] = caller.rest.requests_to("GET", MYSELF)
    assert sent.headers["traceparent"] == f"00-{TRACE}-{id_of(call):016x}-01"


async def test_spans_have_the_names_and_attributes_of_the_conventions(caller, spans):
    request_id = await fire(caller, header=SENT)
    tenant, location = caller.host.site.client_key, caller.addon.deployment.location
    database = "postgresql" if location.is_postgres else "sqlite"
    url = caller.host.site.base_url
    port = int(url.rpartition(":")[2])
    expected = {
        "POST /webhooks/caller/updated": {
            "http.request.method": "POST",
            "http.route": "/webhooks/caller/updated",
            "http.response.status_code": 204,
            "url.path": "/webhooks/caller/updated",
            "url.scheme": "http",
            "server.address": "localhost",
            "server.port": 8000,
            "addonkit.plugin": "caller",
            "addonkit.endpoint": "caller.updated",
            "addonkit.tenant": tenant,
            "addonkit.request_id": request_id,
        },
        "INSERT addonkit_job": {
            "db.system.name": database,
            "db.operation.name": "INSERT",
            "db.collection.name": "addonkit_job",
            "db.query.summary": "INSERT addonkit_job",
        },
        "process caller.updated": {
            "messaging.system": "addonkit",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": "caller.updated",
            "messaging.message.id": "1",
            "addonkit.plugin": "caller",
            "addonkit.job.kind": "webhook",
            "addonkit.job.attempt": 1,
            "addonkit.job.outcome": "done",
            "addonkit.tenant": tenant,
            "addonkit.request_id": request_id,
            "addonkit.webhook": "delivery-1",
        },
        f"GET {MYSELF}": {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.full": f"{url}{MYSELF}",
            "url.template": MYSELF,
            "server.address": "127.0.0.1",
            "server.port": port,
            "addonkit.plugin": "caller",
            "addonkit.tenant": tenant,
        },
    }
    assert {name: dict(spans.named(name).attributes) for name in expected} == expected
    kinds = ["SERVER", "CLIENT", "CONSUMER", "CLIENT"]
    assert [spans.named(name).kind.name for name in expected] == kinds
    assert set(spans.names()) - {DESCRIPTOR} == set(expected)


@pytest.mark.parametrize(
    ("method", "path", "name", "route", "status"),
    [
        ("GET", "/atlassian-connect.json", "GET /atlassian-connect.json", "descriptor", 200),
        ("GET", "/addonkit/static/addonkit.js", "GET /addonkit/static/<path>", "static", 200),
        ("HEAD", "/addonkit/static/addonkit.css", "HEAD /addonkit/static/<path>", "static", 200),
        ("GET", "/caller/start", "GET /caller/start", "caller.start", 401),
        ("POST", "/lifecycle/installed", "POST /lifecycle/installed", "installed", 401),
        ("GET", "/lifecycle/enabled", "GET /lifecycle/enabled", "enabled", 405),
        ("POST", "/webhooks/caller/updated", "POST /webhooks/caller/updated", "caller.updated", 401),
        ("GET", "/nowhere/10001", "GET", None, 404),
        ("BREW", "/caller/start", "HTTP", None, 405),
        ("GET", "//caller", "GET", None, 404),
    ],
    ids=["descriptor", "script", "head", "page", "lifecycle", "405", "webhook", "unknown", "method", "ambiguous"],
)
async def test_span_of_a_request_is_named_by_its_route(caller, spans, method, path, name, route, status):
    if path.startswith("/addonkit/static/"):
        path = caller.addon.edge.assets["addonkit"].url(path.rpartition("/")[2])
    await caller.host.client.request(method, f"http://localhost:8000{path}")
    [span] = spans.of("SERVER")
    found = {key: span.attributes.get(key) for key in ("addonkit.endpoint", "http.response.status_code")}
    assert (span.name, found) == (name, {"addonkit.endpoint": route, "http.response.status_code": status})
    assert span.status.status_code.name == "UNSET"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"], ids=["health", "readiness", "metrics"])
async def test_probes_have_no_span(caller, spans, path):
    await caller.host.request("GET", path)
    assert spans.names() == []


@pytest.mark.parametrize(
    ("header", "trace", "recorded", "flags"),
    [
        (SENT, TRACE, True, "01"),
        (f"{SENT[:-2]}00", TRACE, False, "00"),
        (f"{SENT[:-2]}03", TRACE, True, "01"),
        (f"01{SENT[2:]}-more", TRACE, True, "01"),
        (None, None, True, "01"),
        ("nonsense", None, True, "01"),
        (SENT.replace(PARENT, "0" * 16), None, True, "01"),
    ],
    ids=["sampled", "not sampled", "other flags", "later version", "none", "nonsense", "zeros"],
)
async def test_flag_of_the_header_decides_whether_a_trace_is_recorded(caller, spans, header, trace, recorded, flags):
    request_id = await fire(caller, header=header)
    [sent] = caller.rest.requests_to("GET", MYSELF)
    call = Trace.read(sent.headers["traceparent"])
    assert call.traceparent.endswith(flags)
    assert call.trace_id == trace if trace else call.trace_id.startswith(request_id)
    assert len({*spans.names()} - {DESCRIPTOR}) == (4 if recorded else 0)


async def test_sampler_of_the_environment_decides_about_new_traces(tmp_path, spans, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    async with calling_addon(tmp_path, operations=ON) as running:
        running.rest.answer("GET", MYSELF, {"accountId": "me"})
        await fire(running)
        assert spans.names() == []
        await fire(running, header=SENT, identifier="delivery-2")
        assert len(spans.of("CONSUMER")) == 1


async def test_job_that_is_enqueued_within_a_span_continues_its_trace(failing, spans):
    with failing.addon.scope(), failing.addon.runtime.tracer.span("outer", SpanKind.SERVER, {}) as outer:
        await enqueue(failing, "lookup")
    await failing.host.settled()
    job = spans.named("process failing.attempt")
    assert (trace_of(job), parent_of(job)) == (outer.trace.trace_id, int(outer.trace.span_id, 16))


async def test_attempts_at_a_job_have_a_span_each_with_one_parent(failing, spans):
    await fire(failing, header=SENT)
    await JobRow.filter(name="updated").update(due_at=0, state="ready")
    failing.addon.runtime.notify()
    await failing.addon.settled()
    first, second = spans.all(**{"messaging.destination.name": "failing.updated"})
    assert [one.attributes["addonkit.job.attempt"] for one in (first, second)] == [1, 2]
    assert parent_of(first) == parent_of(second)
    assert [one.attributes["addonkit.job.outcome"] for one in (first, second)] == ["failed", "failed"]


async def test_job_of_a_schedule_begins_a_trace(failing, spans):
    with failing.addon.scope():
        await ScheduleRow.filter(plugin="failing").update(next_at=time.time() - 100)
    failing.addon.runtime.notify()
    async with asyncio.timeout(10):
        while "process failing.hourly" not in spans.names():  # noqa: ASYNC110 - nothing tells of a span
            await asyncio.sleep(0.01)
    span = spans.named("process failing.hourly")
    assert parent_of(span) is None
    assert span.attributes["addonkit.job.kind"] == "schedule"


@pytest.mark.parametrize("way", ["lookup", "type", "unusual", "cancelled", "slow"])
async def test_span_of_a_failed_page_has_the_kind_of_the_error(failing, spans, way):
    kinds = {"lookup": "KeyError", "type": "TypeError", "unusual": "Unusual", "cancelled": "CancelledError"}
    kinds["slow"] = "TimeoutError"
    if way == "slow":
        assert (await failing.host.open("failing-slow")).status == 504
    else:
        with pytest.raises(asyncio.CancelledError) if way == "cancelled" else nullcontext():
            await failing.host.open("failing-page", issue={"id": way})
    [span] = [one for one in spans.of("SERVER") if one.attributes.get("addonkit.plugin") == "failing"]
    assert span.status.status_code.name == "ERROR"
    assert span.attributes["error.type"] == kinds[way]


@pytest.mark.parametrize(
    ("way", "kind", "outcome"),
    [
        ("lookup", "KeyError", "failed"),
        ("unusual", "Unusual", "failed"),
        ("cancelled", "CancelledError", "failed"),
        ("storage", "StorageUnavailable", "failed"),
        ("host", "HostError", "failed"),
        ("scope", "ScopeNotApproved", "paused"),
        ("give up", "GiveUp", "dead"),
    ],
)
async def test_span_of_a_failed_job_has_the_kind_and_the_place_of_the_error(failing, spans, way, kind, outcome):
    with failing.addon.scope():
        await enqueue(failing, way)
    await failing.host.settled()
    span = spans.named("process failing.attempt")
    assert (span.attributes["error.type"], span.attributes["addonkit.job.outcome"]) == (kind, outcome)
    assert span.status.description.startswith(f"{kind} at tests.support.failing_plugin:fail:")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=500), "500"),
        (Reply(status=404), "404"),
        (Reply(status=403), "403"),
        (Reply(status=429, headers={"retry-after": "600"}), "429"),
        (Reply({}, headers={"content-encoding": "br"}), "ResponseInvalid"),
    ],
    ids=["500", "404", "403", "429", "encoding"],
)
async def test_span_of_a_failed_host_call_has_the_kind_of_the_failure(caller, spans, reply, kind):
    caller.rest.answer("GET", MYSELF, by=lambda _: reply)
    await fire(caller)
    span = spans.named(f"GET {MYSELF}")
    assert (span.attributes["error.type"], span.status.status_code.name) == (kind, "ERROR")


async def test_repeated_host_call_has_a_span_for_each_request(caller, spans, fast_backoff):
    replies = iter([Reply(status=503), Reply(status=502), Reply({"accountId": "me"})])
    caller.rest.answer("GET", MYSELF, by=lambda _: next(replies))
    await fire(caller)
    found = [one for one in spans.all() if one.name == f"GET {MYSELF}"]
    assert [one.attributes.get("http.request.resend_count") for one in found] == [None, 1, 2]
    assert [one.attributes["http.response.status_code"] for one in found] == [503, 502, 200]
    sent = [Trace.read(one.headers["traceparent"]).span_id for one in caller.rest.requests_to("GET", MYSELF)]
    assert sent == [f"{id_of(one):016x}" for one in found]


@pytest.mark.parametrize("attached", ["query", "header", "path", "page", "sql", "error", "cookie"])
async def test_spans_hold_no_secrets(failing, spans, attached):
    client, base = failing.host.client, "http://localhost:8000"
    if attached == "query":
        await client.get(f"{base}/failing/page?jwt={TOKEN}&email=ann@example.com&lic={SECRET}")
    elif attached == "header":
        await client.get(f"{base}/failing/page", headers={"authorization": f"JWT {TOKEN}", "x-key": SECRET})
    elif attached == "path":
        await client.get(f"{base}/failing/{TOKEN}/page;jwt={TOKEN}")
    elif attached == "page":
        page = await failing.host.open("failing-statement")
        assert page.status == 200
        assert "jwt=" in page.url
    elif attached == "sql":
        with failing.addon.scope(), failing.addon.runtime.tracer.span("outer", SpanKind.SERVER, {}):
            await fetch(f"SELECT '{SECRET} FROM {SECRET}' AS one, CAST(? AS text) AS two", [SECRET])
    elif attached == "error":
        await failing.host.open("failing-page", issue={"id": "lookup"})
        await failing.host.open("failing-page", issue={"id": "unusual"})
    else:
        await client.get(
            f"{base}/failing/page", headers={"cookie": f"session={SECRET}", "referer": f"{base}?jwt={TOKEN}"}
        )
    text = spans.text()
    assert spans.names()
    assert [
        word for word in (SECRET, TOKEN, TOKEN.split(".")[1], "jwt=", "ann@example.com", "eyJ") if word in text
    ] == []


async def test_statements_of_a_request_are_its_spans(failing, spans):
    await failing.host.open("failing-statement")
    [request] = [one for one in spans.of("SERVER") if one.attributes.get("addonkit.plugin") == "failing"]
    update = spans.named("UPDATE addonkit_job")
    assert parent_of(update) == id_of(request)


async def test_statements_of_no_request_and_no_job_have_no_span(failing, spans):
    with failing.addon.scope():
        await fetch("SELECT 1 AS one")
        async with in_transaction():
            await execute("UPDATE addonkit_job SET name = 'x' WHERE id = -1")
    assert spans.names() == []


async def test_transaction_has_spans_of_its_begin_and_its_commit(failing, spans):
    with failing.addon.scope(), failing.addon.runtime.tracer.span("outer", SpanKind.SERVER, {}):
        async with in_transaction():
            await execute("UPDATE addonkit_job SET name = 'x' WHERE id = -1")
            await JobRow.filter(id=-1).count()
        await JobRow.filter(id=-1).first()
    begun = ["BEGIN", "UPDATE addonkit_job", "SELECT addonkit_job", "COMMIT", "SELECT addonkit_job", "outer"]
    assert spans.names() == begun


async def test_span_of_a_failed_statement_has_the_code_of_the_database(failing, spans):
    with failing.addon.scope(), failing.addon.runtime.tracer.span("outer", SpanKind.SERVER, {}):
        with pytest.raises(StorageUnavailable):
            await fetch(f"SELECT nothing_{SECRET.replace('-', '_')} FROM addonkit_job")
        with pytest.raises(StorageUnavailable):
            await execute("INSERT INTO addonkit_job (id) VALUES (?)", [None])
    first, second = spans.all()[:2]
    is_postgres = first.attributes["db.system.name"] == "postgresql"
    codes = ["42703", "23502"] if is_postgres else ["SQLITE_ERROR", "SQLITE_CONSTRAINT_NOTNULL"]
    assert [one.attributes["db.response.status_code"] for one in (first, second)] == codes
    assert [one.status.status_code.name for one in (first, second)] == ["ERROR", "ERROR"]
    assert first.status.description is None


async def test_span_of_a_plugin_is_part_of_the_request(failing, spans):
    await failing.host.open("failing-traced")
    [request] = [one for one in spans.of("SERVER") if one.attributes.get("addonkit.plugin") == "failing"]
    own, decorated = spans.named("own"), spans.named("decorated")
    statement = spans.named("UPDATE addonkit_job")
    assert [parent_of(one) for one in (own, decorated)] == [id_of(request), id_of(request)]
    assert parent_of(statement) == id_of(own)
    assert own.instrumentation_scope.name == "tests.support.failing_plugin"


async def test_span_of_a_plugin_is_of_the_current_addon_only(failing, spans):
    def record():
        with otel.get_tracer("tests").start_as_current_span("outside") as outside:
            return outside.is_recording()

    assert not Context().run(record)
    assert failing.addon.runtime.context().run(record)
    assert spans.names() == ["outside"]


async def test_resource_names_the_addon_and_the_process(caller, spans):
    await fire(caller)
    found = spans.named("process caller.updated").resource.attributes
    assert found["service.name"] == "com.example.test"
    assert len(found["service.instance.id"]) == 36
    assert found["process.pid"]


@pytest.mark.parametrize(
    ("variables", "name", "other"),
    [
        ({"OTEL_SERVICE_NAME": "kit"}, "kit", None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=kit,deployment.environment.name=test"}, "kit", "test"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}, "com.example.test", "test"),
    ],
    ids=["name", "attributes", "others"],
)
async def test_resource_of_the_environment_goes_first(tmp_path, spans, monkeypatch, variables, name, other):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    async with calling_addon(tmp_path, operations=ON):
        pass
    found = spans.all()[0].resource.attributes
    assert (found["service.name"], found.get("deployment.environment.name")) == (name, other)
