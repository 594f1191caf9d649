"""The lean way through Quart and Quart's own way answer alike: the same requests are sent on both and compared."""

import asyncio
import re
from contextlib import ExitStack, contextmanager
from urllib.parse import unquote_to_bytes

import pytest
import pytest_asyncio
import structlog
from addonkit.app import Addon
from addonkit.app.lean_quart import SKIPPED, Message
from addonkit.app.migrate import enabled_apps
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import create_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart import Response, g, got_request_exception, request
from quart.ctx import AppContext
from quart.globals import _cv_app, _cv_request
from quart.json.provider import DefaultJSONProvider
from quart.sessions import SecureCookieSessionInterface
from quart.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.exceptions import NotFound

from tests.support.varied_plugin import RESULTS, deployment
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE_URLS = {"at the root": "http://localhost:8000", "below a path": "http://localhost:8000/kit"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def varied(request, tmp_path_factory):
    """A running add-on with handlers of every kind."""
    base_url = getattr(request, "param", BASE_URLS["at the root"])
    keys = InstallKeys()
    async with keys.serve() as url:
        made_of = deployment(tmp_path_factory.mktemp("varied"), url, base_url)
        addon = Addon(made_of)
        await create_tables(made_of.location, enabled_apps(made_of))
        async with Host(addon, keys, base_url) as host:
            await host.install()
            yield Wire(addon, host)


def base_of(wire):
    return wire.addon.edge.base_path


async def sent(addon, scope, body, pauses=0):
    """Send a request and return everything that can be observed of its response."""
    messages, chunks = [], [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]

    async def receive():
        for _ in range(pauses):
            await asyncio.sleep(0)
        return chunks.pop(0) if len(chunks) > 1 else await wait_for_end()

    async def wait_for_end():
        await ended.wait()
        return chunks[0]

    async def send(message):
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    ended = asyncio.Event()
    failure = None
    with structlog.testing.capture_logs() as logs:
        try:
            # In a task, as servers do: its context variables are not those of the next request.
            await asyncio.create_task(addon(dict(scope), receive, send))
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
    starts = [message for message in messages if message["type"] == "http.response.start"]
    headers = [tuple(pair) for message in starts for pair in message["headers"]]
    ids = [value.decode() for name, value in headers if name == b"x-request-id"]

    def normal(text):
        for one in ids:
            text = text.replace(one, "<id>")
        return re.sub(r"0x[0-9a-f]{8,}", "<address>", text)

    return {
        "failure": failure,
        "status": [message["status"] for message in starts],
        # A file expires some hours from now: the second of that time may differ between two requests.
        "headers": [
            (name, "<time>" if name == b"expires" else normal(value.decode("latin-1"))) for name, value in headers
        ],
        "body": normal("".join(_text(one.get("body", b"")) for one in messages)),
        "others": [one["type"] for one in messages if not one["type"].startswith("http.response.")],
        "logs": [
            {name: normal(str(value)) for name, value in entry.items() if name not in ("request_id", "exc_info")}
            for entry in logs
        ],
    }


def _text(body):
    return body.decode("latin-1") if isinstance(body, bytes) else repr(body)  # Quart sends the numbers of a bytearray


@contextmanager
def way(addon, *, is_lean):
    """Make requests take the lean way or Quart's own."""
    addon.application.is_lean = is_lean
    try:
        yield
    finally:
        addon.application.is_lean = True


def scope_of(wire, method, target, headers=(), **changes):
    path, _, query = target.partition("?")
    raw = (base_of(wire) + path).encode("latin-1")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw).decode(errors="replace"),
        "raw_path": raw,
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(b"host", b"kit.example:8000"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 8000),
        "extensions": {"http.response.push": {}},
        **changes,
    }


async def compare(wire, scope, body=b"", events=None, pauses=0):
    """Send a request on both ways, twice on the lean one, and return what was observed."""
    events = [] if events is None else events
    with way(wire.addon, is_lean=False):
        expected = await sent(wire.addon, scope, body, pauses)
        expected["events"] = events[:]
        events.clear()
    for _ in range(2):
        with way(wire.addon, is_lean=True):
            found = await sent(wire.addon, scope, body, pauses)
            found["events"] = events[:]
            events.clear()
        assert found == expected
    return expected


@pytest.fixture
def messages(monkeypatch, varied):
    """Count the responses that became a message."""
    counted = []
    application = varied.addon.application
    real = application._message

    def counting(result):
        message = real(result)
        counted.append(message)
        return message

    monkeypatch.setattr(application, "_message", counting)
    return counted


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "get"])
async def test_result_of_a_handler_is_sent_alike(varied, method, kind):
    target = f"/varied/result?kind={kind.replace(' ', '+').replace(',', '%2C')}"
    found = await compare(varied, scope_of(varied, method, target))
    assert found["status"] or found["failure"] or kind == "cancellation"


async def test_text_and_json_need_no_response_object(varied, messages):
    for target in ("/varied/result", "/varied/result?kind=dictionary", "/varied/result?kind=nothing", "/varied/seen"):
        await sent(varied.addon, scope_of(varied, "GET", target), b"")
    assert [type(one) for one in messages] == [Message] * 4


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Post", "head", "X-Y"]
PATHS = [
    "/varied/result",
    "/varied/result/",
    "/varied/seen",
    "/varied/Seen",
    "/varied/s%65en",
    "/varied/numbers/7",
    "/varied/numbers/x",
    "/varied/numbers/-1",
    "/varied/files/a/b.txt",
    "/varied/files/a%20b%C3%A9/",
    "/varied/files/%FF",
    "/varied/slash/",
    "/varied/slash",
    "/varied/synchronous",
    "/varied/proven",
    "/raw/list",
    "/raw/list/1",
    "/raw/list/2",
    "/raw/several",
    "/raw/inner/page",
    "/varied",
    "/",
    "/nowhere",
    "/varied/<int:number>",
    "*",
]
QUERIES = ["", "a=1", "a=1&a=2&b=", "kind=abort", "a=%FF", "a=%ZZ&+=x", "%C3%A4=\xc3\xa4", "a=\xff", "x" * 500]
HEADERS = [
    [],
    [(b"accept", b"application/json")],
    [(b"content-type", b"application/json"), (b"content-length", b"9")],
    [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"9")],
    [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"nine")],
    [(b"cookie", b"session=eyJ4IjoxfQ.x.y; a=b"), (b"remote-addr", b"9.9.9.9"), (b"remote-addr", b"8.8.8.8")],
    [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"evil.example")],
    [(b"host", b"second.example"), (b"user-agent", b"\xe4"), (b"referer", b"http://x/")],
    [(b"if-none-match", b'"x"'), (b"range", b"bytes=0-1"), (b"accept-language", b"de, en;q=0.5")],
    [(b"content-length", b"99999999999")],
]
BODIES = [b"", b'{"a": 1} ', b"a=1&b=%20", b"\xff" * 9, b"--x--"]
CHANGES = [
    {},
    {"http_version": "1.0", "headers": []},
    {"http_version": "2", "scheme": "https"},
    {"client": None, "server": None},
    {"client": ("", 0), "server": ("/run/kit.sock", None)},
    {"headers": []},
]
HOSTS = ["kit.example", "kit.example:80", "a..b", ".a", "a.", "x" * 70, "x" * 70 + ":80", "\xe4.example", "[::1]:8000"]
HOSTS += ["", "a b", "a_b", "a/b", "\xe4..b", "x" * 5000, ":80", "%00"]

requests = st.tuples(
    st.sampled_from(METHODS),
    st.sampled_from(PATHS),
    st.sampled_from(QUERIES) | st.text("a=&%+4C\xc3\xa9\xff/?", max_size=12),
    st.sampled_from(HEADERS),
    st.sampled_from(BODIES),
    st.sampled_from(CHANGES),
)


@pytest.mark.parametrize("varied", BASE_URLS.values(), ids=BASE_URLS, indirect=True)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests)
async def test_request_of_any_kind_is_answered_alike(varied, parts):
    method, path, query, headers, body, changes = parts
    scope = scope_of(varied, method, f"{path}?{query}" if query else path, headers)
    await compare(varied, {**scope, **changes}, body)


@pytest.mark.parametrize("varied", BASE_URLS.values(), ids=BASE_URLS, indirect=True)
@pytest.mark.parametrize("path", PATHS)
async def test_path_is_routed_alike_for_every_method(varied, path):
    for method in METHODS:
        await compare(varied, scope_of(varied, method, path), b"")


@pytest.mark.parametrize("host", HOSTS, ids=range(len(HOSTS)))
@pytest.mark.parametrize("path", ["/varied/seen", "/varied/numbers/1", "/nowhere"])
async def test_host_of_any_form_is_answered_alike_and_is_no_failure(varied, path, host):
    scope = scope_of(varied, "GET", path)
    scope["headers"] = [(b"host", host.encode("latin-1"))]
    varied.addon.application.url_map._plain.clear()
    found = await compare(varied, scope)
    assert found["status"] == [404 if path == "/nowhere" else 200]


@pytest.mark.parametrize("varied", BASE_URLS.values(), ids=BASE_URLS, indirect=True)
async def test_verified_page_is_answered_alike(varied):
    for target in ("/varied/proven?issue_key=AB-1", "/varied/proven"):
        token = varied.token("GET", target)
        mark = "&" if "?" in target else "?"
        found = await compare(varied, scope_of(varied, "GET", f"{target}{mark}jwt={token}"))
        assert found["status"] == [200]
        found = await compare(varied, scope_of(varied, "GET", target, [(b"authorization", b"JWT " + token.encode())]))
        assert found["status"] == [200]
        assert (await compare(varied, scope_of(varied, "GET", target)))["status"] == [401]


@pytest.mark.parametrize("pauses", [0, 1, 2, 10, 100])
@pytest.mark.parametrize(("size", "status"), [(50, 200), (101, 413), (5000, 413), (2_000_000, 413)])
async def test_body_that_arrives_late_is_limited_alike(varied, size, status, pauses):
    scope = scope_of(varied, "POST", "/varied/small", [(b"content-type", b"text/plain")])
    assert (await compare(varied, scope, b"x" * size, pauses=pauses))["status"] == [status]


# what may be registered, also while requests are served


@contextmanager
def registered(functions, name, function):
    """Register a function in one of Quart's tables."""
    functions[name].append(function)
    try:
        yield
    finally:
        functions[name].remove(function)


@contextmanager
def received(signal, receiver):
    with signal.connected_to(receiver):
        yield


@contextmanager
def changed(owner, name, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, value)
        yield


def features(application, events):
    """Return what can be switched on, by name: a context manager for each."""
    note = events.append
    tables = {
        "before": application.before_request_funcs,
        "after": application.after_request_funcs,
        "teardown": application.teardown_request_funcs,
        "values": application.url_value_preprocessors,
    }

    async def before():
        note(f"before {request.path} {request.endpoint}")
        g.x = 1

    def synchronous_before():
        note(f"synchronous {request.method}")

    async def answering():
        return "answered before", 203

    async def failing():
        raise LookupError("a function failed")

    async def refusing():
        raise NotFound("not here")

    async def after(response):
        note(f"after {response.status_code}")
        response.headers["x-after"] = "1"
        return response

    async def replacing(response):
        return Response("replaced", 299)

    async def failing_after(response):
        raise LookupError("after failed")

    async def teardown(error):
        note(f"teardown {type(error).__name__} {request.path}")

    async def failing_teardown(error):
        raise LookupError("teardown failed")

    async def teardown_application(error):
        note(f"teardown application {type(error).__name__}")

    def values(endpoint, arguments):
        note(f"values {endpoint} {arguments}")

    def adding(endpoint, arguments):
        if arguments is not None:
            arguments["kind"] = "markup"

    async def receiver(sender, **facts):
        note(f"signal {sorted(facts)}")

    def synchronous_receiver(sender, **facts):
        note(f"synchronous signal {sorted(facts)}")

    async def failing_receiver(sender, **facts):
        raise LookupError("a receiver failed")

    async def on_error(error):
        return f"handled {type(error).__name__}", 555

    signals = {
        "started": request_started,
        "finished": request_finished,
        "tearing down": request_tearing_down,
        "pushed": appcontext_pushed,
        "popped": appcontext_popped,
        "tearing down the application": appcontext_tearing_down,
        "exception": got_request_exception,
    }
    made = {}
    for place, name in (("application", None), ("plugin", "varied"), ("other blueprint", "raw")):
        for what, functions in {
            "before": (before, synchronous_before, answering, failing, refusing),
            "after": (after, replacing, failing_after),
            "teardown": (teardown, failing_teardown),
            "values": (values, adding),
        }.items():
            for function in functions:
                made[f"{function.__name__} of the {place}"] = registered(tables[what], name, function)
    for name, signal in signals.items():
        for function in (receiver, synchronous_receiver, failing_receiver):
            made[f"{function.__name__} of {name}"] = received(signal, function)

    @contextmanager
    def torn_down():
        application.teardown_appcontext_funcs.append(teardown_application)
        try:
            yield
        finally:
            application.teardown_appcontext_funcs.remove(teardown_application)

    @contextmanager
    def error_handler(place, code, kind):
        handlers = application.error_handler_spec[place][code]
        former = dict(handlers)
        handlers[kind] = on_error
        try:
            yield
        finally:
            handlers.clear()
            handlers.update(former)

    @contextmanager
    def replaced(name):
        real = getattr(application, name)

        def own(*arguments, **options):
            note(f"{name} is called")
            return real(*arguments, **options)

        setattr(application, name, own)
        try:
            yield
        finally:
            delattr(application, name)

    for name in SKIPPED:
        made[f"own {name}"] = replaced(name)

    class Sessions(SecureCookieSessionInterface):
        async def open_session(self, app, request):
            note("open session")
            return await super().open_session(app, request)

    class Provider(DefaultJSONProvider):
        def dumps(self, obj, **options):
            return f"own {super().dumps(obj, **options)}"

    class OwnResponse(Response):
        default_mimetype = "text/plain"

    made |= {
        "teardown_application": torn_down(),
        "error handler of 404": error_handler(None, 404, NotFound),
        "error handler of every error": error_handler(None, None, Exception),
        "error handler of a plugin": error_handler("varied", None, RuntimeError),
        "secret key": changed(application, "secret_key", "a key of sessions"),
        "session interface": changed(application, "session_interface", Sessions()),
        "JSON provider": changed(application, "json", Provider(application)),
        "JSON that is not compact": changed(application.json, "compact", False),
        "JSON of another type": changed(application.json, "mimetype", "application/x-json"),
        "JSON in its own order": changed(application.json, "sort_keys", False),
        "JSON of text": changed(application.json, "ensure_ascii", False),
        "response class": changed(application, "response_class", OwnResponse),
        "trapped errors": _config(application, "TRAP_HTTP_EXCEPTIONS", True),
        "server name": _config(application, "SERVER_NAME", "kit.example:8000"),
        "another server name": _config(application, "SERVER_NAME", "other.example"),
        "bodies of 5 bytes": _config(application, "MAX_CONTENT_LENGTH", 5),
    }
    return made


@contextmanager
def _config(application, name, value):
    former = application.config[name]
    application.config[name] = value
    try:
        yield
    finally:
        application.config[name] = former


NAMES = (
    *(
        f"{name} of the {place}"
        for place in ("application", "plugin", "other blueprint")
        for name in (
            "before",
            "synchronous_before",
            "answering",
            "failing",
            "refusing",
            "after",
            "replacing",
            "failing_after",
            "teardown",
            "failing_teardown",
            "values",
            "adding",
        )
    ),
    *(
        f"{name} of {signal}"
        for signal in (
            "started",
            "finished",
            "tearing down",
            "pushed",
            "popped",
            "tearing down the application",
            "exception",
        )
        for name in ("receiver", "synchronous_receiver", "failing_receiver")
    ),
    *("teardown_application", "error handler of 404", "error handler of every error", "error handler of a plugin"),
    *("secret key", "session interface", "JSON provider", "JSON that is not compact", "JSON of another type"),
    *("JSON in its own order", "JSON of text", "response class", "trapped errors", "server name"),
    *("another server name", "bodies of 5 bytes"),
    *(f"own {name}" for name in sorted(SKIPPED)),
)
SAMPLES = [
    ("GET", "/varied/result"),
    ("GET", "/varied/result?kind=dictionary"),
    ("GET", "/varied/result?kind=nothing"),
    ("GET", "/varied/result?kind=failure"),
    ("GET", "/varied/result?kind=failure+that+is+handled"),
    ("GET", "/varied/result?kind=abort"),
    ("GET", "/varied/result?kind=session"),
    ("GET", "/varied/result?kind=globals"),
    ("GET", "/varied/result?kind=stream+with+context"),
    ("GET", "/varied/result?kind=cancellation"),
    ("GET", "/varied/result?kind=nested+contexts"),
    ("POST", "/varied/result"),
    ("POST", "/varied/seen"),
    ("GET", "/varied/numbers/5"),
    ("GET", "/raw/list"),
    ("OPTIONS", "/raw/several"),
    ("GET", "/raw/inner/page"),
    ("GET", "/nowhere"),
    ("DELETE", "/varied/result"),
]


@pytest.mark.filterwarnings("ignore:Current server name")
@pytest.mark.parametrize("name", NAMES)
async def test_registered_function_is_called_alike(varied, name):
    events = []
    found = features(varied.addon.application, events)
    assert set(found) == set(NAMES)
    with found[name]:
        for method, target in SAMPLES:
            await compare(varied, scope_of(varied, method, target), b'{"a": 1}', events)
    assert events == []


@pytest.mark.filterwarnings("ignore:Current server name")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(NAMES), max_size=4, unique=True),
    st.sampled_from(SAMPLES),
    st.sampled_from(sorted(RESULTS)),
)
async def test_registered_functions_together_are_called_alike(varied, names, sample, kind):
    events = []
    found = features(varied.addon.application, events)
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(found[name])
        method, target = sample
        await compare(varied, scope_of(varied, method, target), b'{"a": 1}', events)
        await compare(varied, scope_of(varied, "GET", f"/varied/result?kind={kind.replace(' ', '+')}"), b"", events)


async def test_function_that_is_registered_late_is_called(varied):
    events = []
    found = features(varied.addon.application, events)
    scope = scope_of(varied, "GET", "/varied/result")
    await sent(varied.addon, scope, b"")
    with found["after of the plugin"], found["teardown of the application"]:
        observed = await sent(varied.addon, scope, b"")
    assert events == ["after 200", "teardown NoneType /varied/result"]
    assert ("x-after", "1") in [(name.decode(), value) for name, value in observed["headers"]]


@pytest.mark.parametrize("varied", BASE_URLS.values(), ids=BASE_URLS, indirect=True)
async def test_rule_that_is_added_late_replaces_a_found_one(varied):
    application = varied.addon.application
    path = f"{'/late'}-{base_of(varied).strip('/') or 'root'}"
    found = await compare(varied, scope_of(varied, "GET", path))
    assert found["status"] == [404]
    rule = application.url_rule_class(path, endpoint="varied.result", methods={"GET"})
    application.url_map.add(rule)
    assert (await compare(varied, scope_of(varied, "GET", path)))["status"] == [200]
    assert application.url_map.plain_rule("GET", path) is rule
    application.url_map.add(application.url_rule_class("/other", endpoint="varied.seen", methods={"GET"}))
    assert application.url_map.plain_rule("GET", path) is None


BASES = ("/varied/numbers", "/nowhere", "/varied/files")


async def test_table_of_rules_is_as_large_as_the_routes_are_many(varied):
    rules = varied.addon.application.url_map
    for number in range(300):
        for method in ("GET", f"X{number}", "HEAD"):
            for path in (
                f"/varied/numbers/{number}",
                f"/nowhere/{number}",
                f"/varied/files/{number}",
                "/varied/slash",
                "/varied/seen",
            ):
                await sent(varied.addon, scope_of(varied, method, path), b"")
    assert len(rules._plain) <= sum(len(rule.methods or ()) for rule in rules.iter_rules())
    assert {path for _, path in rules._plain} <= {rule.rule for rule in rules.iter_rules()}


async def test_contexts_are_left_whatever_happens(varied):
    for kind in ("text", "failure", "abort", "cancellation", "stream with context"):
        await sent(varied.addon, scope_of(varied, "GET", f"/varied/result?kind={kind.replace(' ', '+')}"), b"")
        assert (_cv_app.get(None), _cv_request.get(None)) == (None, None)


async def test_unknown_quart_is_used_in_its_own_way(tmp_path, monkeypatch):
    real = AppContext.__init__

    def constructor(self, app):
        real(self, app)
        self.added_by_a_later_release = True

    monkeypatch.setattr(AppContext, "__init__", constructor)
    with structlog.testing.capture_logs() as logs:
        addon = Addon(deployment(tmp_path, "http://127.0.0.1:1", "http://localhost:8000"))
    assert not addon.application.is_lean
    (entry,) = [entry for entry in logs if entry["event"] == "quart.unknown"]
    assert entry["differences"] == ["AppContext.added_by_a_later_release"]
