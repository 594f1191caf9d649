"""The log line of a refused request: exactly one for each, with its reason, and never a token or a query."""

import json

import pytest
import pytest_asyncio
import structlog
from addonkit.app import Addon
from addonkit.cli.logs import configure
from addonkit.settings import LogSettings

from tests.support.refusing_plugin import SECRET, SENTENCE, refusing_addon, refusing_deployment
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOCAL = [("host", "localhost:8000")]
JSON = "application/json"
FAILURES = ("request.failed", "request.timed_out", "handler.failed", "admission.failed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    """An add-on on loopback, without metrics and access log."""
    async with refusing_addon(tmp_path_factory.mktemp("addon")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def remote(tmp_path_factory):
    """An add-on with metrics and access log. Requests whose Host does not name this machine are as from elsewhere."""
    sections = {"log": {"access": True}, "operations": {"metrics_token": "what-opens-the-metrics-0123456789"}}
    async with refusing_addon(tmp_path_factory.mktemp("addon"), **sections) as running:
        yield running


@pytest.fixture(params=["local", "remote"])
def addon(request, wire, remote):
    """Both add-ons, one after the other."""
    return wire if request.param == "local" else remote


async def page(wire, name, query="", **claims):
    return await wire.open(f"/refusing/{name}{query}", **claims)


async def own_request(wire, path, body):
    """A POST of the plugin's page, with a context token."""
    token = wire.site.context_token("acc-1")
    headers = [("authorization", f"JWT {token}"), ("content-type", JSON)]
    return await wire.ask("POST", path, headers, body)


PAGES = {
    "abort": (lambda w: page(w, "aborting"), 403, "refusing.aborting", SENTENCE),
    "abort in a thread": (lambda w: page(w, "aborting_in_a_thread"), 403, "refusing.aborting_in_a_thread", SENTENCE),
    "raise": (lambda w: page(w, "raising"), 403, "refusing.raising", SENTENCE),
    "abort without a sentence": (
        lambda w: page(w, "aborting_without_a_sentence"),
        404,
        "refusing.aborting_without_a_sentence",
        "the handler ended the request with 404 Not Found",
    ),
    "abort with a response": (
        lambda w: page(w, "aborting_with_a_response"),
        409,
        "refusing.aborting_with_a_response",
        "a response of its own",
    ),
    "returned": (lambda w: page(w, "returning"), 418, "refusing.returning", "plugin 'refusing' returned this status"),
    "error handler of the plugin": (lambda w: page(w, "hiding"), 404, "refusing.hiding", "Hidden at "),
    "parameter": (lambda w: page(w, "numbered", "?issue_key=many"), 400, "refusing.numbered", "'issue_key' is invalid"),
    "missing parameter": (lambda w: page(w, "numbered"), 401, "refusing.numbered", "'issue_key' is not among"),
    "host": (lambda w: page(w, "asking"), 502, "refusing.asking", "the host responded with 500"),
    "permission": (lambda w: page(w, "administered", sub=None), 401, "refusing.administered", "'ADMINISTER'"),
    "admission": (
        lambda w: page(w, "admitted", "?issue_key=SHUT-1"),
        402,
        "refusing.admitted",
        "addon_admit of plugin 'refusing' did not admit it",
    ),
    "proof": (lambda w: w.ask("GET", "/refusing/aborting"), 401, "refusing.aborting", "demands exact"),
    "slash": (lambda w: page(w, "aborting/"), 404, None, "differ in a slash"),
    "method": (lambda w: w.ask("DELETE", "/refusing/closed"), 405, None, "it takes GET, HEAD"),
    "body": (
        lambda w: own_request(w, "/refusing/small", b'{"text": "' + b"x" * 200 + b'"}'),
        413,
        "refusing.small",
        "larger than 100 bytes",
    ),
    "body that is not JSON": (lambda w: own_request(w, "/refusing/small", b"x"), 400, "refusing.small", "JSON object"),
    "form": (lambda w: w.ask("POST", "/refusing/form"), 400, "refusing.form", "the handler reads 'word'"),
    "public": (lambda w: w.ask("GET", "/refusing/closed"), 403, "refusing.closed", SENTENCE),
}
EDGE = {
    "unknown path": (lambda w: w.ask("GET", "/nowhere"), 404, None, "no route and no static file"),
    "unknown route": (lambda w: w.ask("GET", "/refusing/nowhere"), 404, None, "no route and no static file"),
    "static file": (lambda w: w.ask("GET", "/refusing/static/none.css"), 404, None, "no static file"),
    "ambiguous path": (lambda w: w.ask("GET", "//refusing/closed"), 404, None, "different ways"),
    "expired token": (
        lambda w: page(w, "aborting", iat=1000, exp=1100),
        401,
        "refused",
        "expired",
    ),
    "two tokens": (lambda w: w.ask("GET", "/refusing/aborting?jwt=a.b.c&jwt=d.e.f"), 401, "refused", ""),
    "query": (lambda w: w.ask("GET", "/refusing/closed?x=%ff%fe"), 403, "refusing.closed", SENTENCE),
    "query bytes": (lambda w: w.ask("GET", "/refusing/closed?x=\xff"), 400, "refused", "not UTF-8"),
    "two lengths": (
        lambda w: w.ask("POST", "/refusing/form", [("transfer-encoding", "chunked")], b"word=1"),
        400,
        "refused",
        "Content-Length and Transfer-Encoding",
    ),
    "lifecycle": (lambda w: w.send_lifecycle("installed", None, b"{}"), 401, "installed", "has no token"),
    "lifecycle method": (lambda w: w.ask("GET", "/lifecycle/enabled"), 405, "enabled", "takes POST only"),
    "webhook": (lambda w: w.ask("POST", "/webhooks/refusing/changed"), 401, "refusing.changed", "has no token"),
    "webhook method": (lambda w: w.ask("PUT", "/webhooks/refusing/changed"), 405, "refusing.changed", "POST only"),
    "session": (lambda w: w.ask("POST", "/addonkit/session"), 401, "session", "has no context token"),
    "metrics": (lambda w: w.ask("GET", "/metrics"), None, "metrics", "etrics"),
    "probe method": (lambda w: w.ask("DELETE", "/healthz"), 405, "healthz", "takes GET and HEAD only"),
}


@pytest.mark.parametrize("kind", [*PAGES, *EDGE])
async def test_refusal_is_one_line_with_status_endpoint_plugin_reason_and_request_id(addon, kind):
    send, status, endpoint, reason = {**PAGES, **EDGE}[kind]
    with structlog.testing.capture_logs() as logs:
        answer = await send(addon)
    (entry,) = [one for one in logs if one["event"] in ("request.refused", *FAILURES)]
    assert entry["event"] == "request.refused"
    assert answer.status == entry["status"] == (status or answer.status) >= 400
    assert reason in entry["reason"]
    assert entry["endpoint"] == endpoint
    assert entry["plugin"] == (endpoint and (endpoint.partition(".")[0] if "." in endpoint else entry["plugin"]))
    assert entry["request_id"] == answer.header("x-request-id")
    assert entry["log_level"] == "warning"


@pytest.mark.parametrize(
    ("name", "status", "event"),
    [
        ("failing", 500, "handler.failed"),
        ("hanging", 504, "request.timed_out"),
        ("admitted?issue_key=BREAK-1", 503, "admission.failed"),
    ],
)
async def test_failure_with_an_event_of_its_own_has_no_second_line(addon, name, status, event):
    with structlog.testing.capture_logs() as logs:
        answer = await page(addon, name)
    assert [(one["event"], one["status"]) for one in logs if one["event"] in ("request.refused", *FAILURES)] == [
        (event, status)
    ]
    assert answer.status == status


@pytest.mark.parametrize(
    ("name", "error"),
    [("failing", "RuntimeError"), ("hanging", "TimeoutError"), ("admitted?issue_key=BREAK-1", "RuntimeError")],
    ids=["handler", "time limit", "admission"],
)
async def test_failed_request_is_recorded_with_the_class_of_its_error(addon, monkeypatch, name, error):
    records = []
    observers = (*addon.addon.edge.observers, lambda request, _: records.append(request.record))
    monkeypatch.setattr(addon.addon.edge, "observers", observers)
    await page(addon, name)
    assert [(record.error, record.is_logged) for record in records] == [(error, True)]


async def test_failure_of_the_edge_has_no_second_line(wire):
    broken = wire.addon.edge.lifecycle.install_keys
    token, body = wire.installed()
    known, broken._known = broken._known, None
    try:
        with structlog.testing.capture_logs() as logs:
            assert (await wire.send_lifecycle("installed", token, body)).status == 500
    finally:
        broken._known = known
    assert [one["event"] for one in logs] == ["request.failed"]


async def test_response_without_an_error_has_no_line(wire):
    with structlog.testing.capture_logs() as logs:
        statuses = [(await wire.ask("GET", path)).status for path in ("/atlassian-connect.json", "/healthz")]
        statuses.append((await page(wire, "open_page")).status)
    assert (statuses, logs) == ([200] * 3, [])


async def test_websocket_is_refused_with_one_line(wire):
    sent = []
    scope = {"type": "websocket", "path": "/refusing/closed", "query_string": b"jwt=x", "headers": [], "client": None}

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    with structlog.testing.capture_logs() as logs:
        await wire.addon(scope, receive, send)
    assert sent == ["websocket.close"]
    assert [(one["event"], one["status"]) for one in logs] == [("request.refused", 403)]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "query", ["?a=what-only-the-query-has", "?q=two%20words-of-a-query", "?word=%C3%BCmlaut-of-it"]
)
async def test_refusal_has_neither_token_nor_query_in_log_and_page(wire, capfd, form, query):
    configure(LogSettings(format=form, access=True), ["tests"])
    token = wire.token("GET", f"/refusing/quoting{query}")
    answer = await wire.ask("GET", f"/refusing/quoting{query}&jwt={token}", LOCAL)
    written = capfd.readouterr().err
    assert answer.status == 403
    assert "you came from" in written
    assert "you came from" in answer.text
    for text in (written, answer.text):
        assert token.rpartition(".")[2] not in text
        assert query.partition("=")[2] not in text


@pytest.mark.parametrize("name", ["aborting", "aborting_in_a_thread", "raising"])
async def test_page_shows_the_sentence_of_a_plugin_everywhere(remote, name):
    answer = await page(remote, name)
    assert "<p>you may not see &lt;this&gt; board</p>" in answer.text
    assert answer.header("x-request-id") in answer.text


@pytest.mark.parametrize("kind", [kind for kind, case in PAGES.items() if case[3] != SENTENCE])
async def test_page_shows_no_sentence_of_the_runtime_elsewhere(remote, kind):
    send, _, _, reason = PAGES[kind]
    answer = await send(remote)
    if answer.header("content-type").startswith("text/html") and "Request id" in answer.text:
        assert reason not in answer.text
        assert answer.text.count("<p>") == 2


@pytest.mark.parametrize("kind", list(EDGE))
async def test_refusal_of_the_edge_shows_no_reason_elsewhere(remote, kind):
    send, _, _, reason = EDGE[kind]
    answer = await send(remote)
    assert reason == SENTENCE or not reason or reason not in answer.text


NEAR = {"client": ("127.0.0.1", 50000), "headers": [("host", "localhost:8000")]}
PLACES = {
    "localhost": NEAR,
    "address": {**NEAR, "headers": [("host", "127.0.0.1:8000")]},
    "version 6": {"client": ("::1", 5), "headers": [("host", "[::1]")]},
    "mapped address": {**NEAR, "client": ("::ffff:127.0.0.1", 5)},
    "capitals": {**NEAR, "headers": [("host", "LocalHost:1")]},
}
ELSEWHERE = {
    "rebound name": {**NEAR, "headers": [("host", "evil.example.com:8000")]},
    "name that begins like loopback": {**NEAR, "headers": [("host", "localhost.evil.example.com")]},
    "two names": {**NEAR, "headers": [("host", "localhost"), ("host", "evil.example.com")]},
    "no name": {**NEAR, "headers": [("host", "")]},
    "other machine": {**NEAR, "client": ("192.0.2.7", 5)},
    "socket": {**NEAR, "client": None},
    "no address": {**NEAR, "client": ("nonsense", 5)},
    "proxy": {**NEAR, "headers": [*NEAR["headers"], ("x-forwarded-for", "192.0.2.7")]},
    "proxy with Forwarded": {**NEAR, "headers": [*NEAR["headers"], ("forwarded", "for=192.0.2.7")]},
    "proxy with Via": {**NEAR, "headers": [*NEAR["headers"], ("via", "1.1 tunnel")]},
    "proxy with another header": {**NEAR, "headers": [*NEAR["headers"], ("x-forwarded-proto", "https")]},
}
REFUSED = {
    "parameter": ("/refusing/numbered?issue_key=many", "'issue_key' is invalid"),
    "failure": ("/refusing/failing", "RuntimeError at tests.support.refusing_plugin:failing:"),
    "time limit": ("/refusing/hanging", "did not end within 0.01 s"),
    "host": ("/refusing/asking", "the host responded with 500"),
    "token": ("/refusing/numbered?issue_key=1", "the query hash of"),
    "unknown path": ("/nowhere", "no route and no static file has this path"),
}


async def text_of(wire, place, kind="parameter", accept="text/html"):
    target, _ = REFUSED[kind]
    signed = "/refusing/other" if kind == "token" else target
    sent = f"{target}{'&' if '?' in target else '?'}jwt={wire.token('GET', signed)}"
    headers = [*place["headers"], ("accept", accept)]
    return (await wire.ask("GET", sent, headers, client=place["client"])).text.replace("&#x27;", "'")


@pytest.mark.parametrize("accept", ["text/html", JSON])
@pytest.mark.parametrize("kind", list(REFUSED))
async def test_refusal_shows_its_reason_on_the_own_machine(wire, kind, accept):
    text = await text_of(wire, NEAR, kind, accept)
    assert REFUSED[kind][1] in (json.loads(text)["error"] if accept == JSON else text)
    assert SECRET not in text


@pytest.mark.parametrize("place", list(PLACES))
async def test_refusal_shows_its_reason_under_each_name_of_the_own_machine(wire, place):
    assert "'issue_key' is invalid" in await text_of(wire, PLACES[place])


@pytest.mark.parametrize("place", list(ELSEWHERE))
async def test_refusal_shows_no_reason_to_another_machine(wire, place):
    text = await text_of(wire, ELSEWHERE[place])
    assert "400 Bad Request" in text
    assert "issue_key" not in text


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("path", ["/nowhere", "/refusing/form", "/refusing/aborting", "/lifecycle/enabled", "//"])
async def test_refusal_shows_no_reason_where_the_base_url_is_public(tmp_path, place, path):
    public = Addon(refusing_deployment(tmp_path, "https://kit.example.com"))
    headers = [*PLACES[place]["headers"], ("accept", "text/html")]
    answer = await Wire(public, None).ask("POST", path, headers, client=PLACES[place]["client"])
    assert answer.status in (400, 401, 404, 405)
    assert answer.text.count("<p>") == 2


async def test_refusal_shows_no_reason_behind_trusted_proxies(tmp_path):
    async with refusing_addon(tmp_path, server={"trusted_proxies": ["192.0.2.1"]}) as proxied:
        assert "issue_key" not in await text_of(proxied, NEAR)


async def test_reason_is_not_a_part_of_the_descriptor_of_another_page(wire):
    """The page escapes what a caller has sent."""
    answer = await wire.ask("GET", "/refusing/static/<b>bold<b>", LOCAL)
    assert (answer.status, "<b>" in answer.text) == (404, False)
