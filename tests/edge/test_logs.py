"""Log lines: reason, site, request id and level."""

import asyncio
import errno
import io
import json
import logging
import threading

import pytest
import pytest_asyncio
import structlog
from addonkit.cli.logs import StructlogHandler, configure
from addonkit.edge.access_log import AccessLog
from addonkit.edge.request import InboundRequest
from addonkit.jobs.queue import JobQueue
from addonkit.settings import LogSettings
from addonkit.tenancy.models import TenantRow
from addonkit.testing import Site
from addonkit.work import JobKind, JobSpec, NewJob

from tests.support.plugin_under_test import running_addon
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
METRICS_TOKEN = "what-opens-the-metrics-0123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    """An add-on with the access log and metrics on."""
    settings = {"log": {"access": True}, "operations": {"metrics_token": METRICS_TOKEN}}
    async with running_addon(tmp_path_factory.mktemp("addon"), **settings) as running:
        yield running


async def refusal(wire, target):
    with structlog.testing.capture_logs() as logs:
        answer = await wire.ask("GET", target)
    (entry,) = [entry for entry in logs if entry["event"] == "request.refused"]
    return entry, answer


async def test_log_of_a_refusal_has_reason_site_and_request_id(wire):
    token = wire.token("GET", PAGE, iat=1000, exp=1100)
    entry, answer = await refusal(wire, f"{PAGE}&jwt={token}")
    assert "expired" in entry["reason"]
    assert (entry["tenant"], entry["request_id"]) == (wire.site.client_key, answer.header("x-request-id"))


async def test_log_omits_a_client_key_with_control_characters(wire):
    entry, _ = await refusal(wire, f"{PAGE}&jwt={wire.token('GET', PAGE, iss='x' + chr(10) + 'forged line')}")
    assert "forged" not in repr(entry)


async def test_log_of_an_install_has_site_and_request_id(wire):
    site = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    with structlog.testing.capture_logs() as logs:
        answer = await wire.send_lifecycle("installed", *wire.installed(site))
    (entry,) = [entry for entry in logs if entry["event"] == "lifecycle.received"]
    assert (answer.status, entry["tenant"], entry["event_name"]) == (204, site.client_key, "installed")


WORKERS = {"1": 1, "12": 12, "0": 0, "": None, "one": None, "-1": None, "\u0661": None, "1" * 40: None}


@pytest.mark.parametrize(("text", "number"), WORKERS.items(), ids=[repr(text)[:9] for text in WORKERS])
async def test_log_of_a_worker_process_has_its_number_in_every_line(monkeypatch, capfd, text, number):
    monkeypatch.setenv("ADDONKIT_WORKER", text)
    configure(LogSettings(format="json"), ["tests"])
    structlog.get_logger().info("by structlog", worker="mine" if number is not None else None)
    logging.getLogger("tests.x").warning("by logging")
    thread = threading.Thread(target=structlog.get_logger().info, args=("by a thread",))
    thread.start()
    thread.join()
    write_line()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert len(lines) == 4
    assert {(type(line.get("worker")), line.get("worker")) for line in lines} == {(type(number), number)}


def write_line():
    """Write a line of the access log."""
    request = InboundRequest("GET", "/", "", [], "id")
    AccessLog(b"k" * 32)(request, 0.1)


def configured(form="json", level="info"):
    """Configure the log as a deployment with the test plugin does."""
    configure(LogSettings(format=form, level=level, access=True), ["tests"])


def entries(capfd):
    """Return the log lines that are JSON."""
    return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]


async def logged(wire, capfd, asking, **settings):
    """Return what the plugin logged while the awaitable ran."""
    capfd.readouterr()
    configured(**settings)
    answer = await asking
    return [entry for entry in entries(capfd) if entry["event"].startswith("logged")], answer


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_log_lines_of_a_plugin_have_the_request_id(wire, capfd, method):
    session = await wire.session()
    if method == "POST":
        asking = wire.send(f"Session {session}", "POST", "/under_test/talk")
    else:
        asking = wire.open("/under_test/talking")
    lines, answer = await logged(wire, capfd, asking)
    endpoint = "under_test.talk_posted" if method == "POST" else "under_test.talking"
    assert [entry["event"] for entry in lines] == ["logged by structlog", "logged by logging"]
    for entry in lines:
        assert entry["request_id"] == answer.header("x-request-id")
        assert (entry["plugin"], entry["endpoint"]) == ("under_test", endpoint)
        assert entry["tenant"] == wire.site.client_key


async def test_log_line_has_no_values_of_an_earlier_request(wire, capfd):
    await wire.open("/under_test/talking")
    capfd.readouterr()
    configured()
    await wire.ask("GET", "/nowhere")
    structlog.get_logger().info("outside")
    refused, inside, outside = entries(capfd)
    assert (refused["tenant"], refused["plugin"]) == (inside["tenant"], inside["plugin"]) == (None, None)
    assert outside.keys() == {"event", "level", "timestamp"}


async def test_log_lines_of_concurrent_requests_keep_their_values(wire, capfd):
    sites = [await wire.host.install() for _ in range(5)]
    opened = asyncio.gather(*(wire.open("/under_test/talking", site=site) for site in sites))
    lines, answers = await logged(wire, capfd, opened)
    found = {entry["request_id"]: entry["tenant"] for entry in lines}
    assert found == {
        answer.header("x-request-id"): site.client_key for answer, site in zip(answers, sites, strict=True)
    }


@pytest.mark.parametrize(("level", "count"), [("info", 2), ("warning", 1), ("error", 0)])
async def test_log_level_applies_to_structlog_and_logging(wire, capfd, level, count):
    lines, _ = await logged(wire, capfd, wire.open("/under_test/talking"), level=level)
    assert len(lines) == count


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_log_omits_info_and_debug_lines_of_libraries(wire, capfd, level):
    capfd.readouterr()
    configured(level=level)
    await wire.open("/under_test/talking")
    assert "logged-by-a-library" not in capfd.readouterr().err


async def test_log_has_warnings_of_libraries(capfd):
    configured()
    logging.getLogger("some.library").warning("%s is full", "the queue")
    (entry,) = entries(capfd)
    assert (entry["event"], entry["logger"], entry["level"]) == ("the queue is full", "some.library", "warning")


@pytest.mark.parametrize(("number", "level"), [(5, "debug"), (25, "info"), (35, "warning"), (60, "critical")])
async def test_log_level_of_a_librarys_own_is_rounded_down(capfd, number, level):
    configured(level="debug")
    StructlogHandler().handle(logging.makeLogRecord({"levelno": number, "msg": "hello", "name": "some.library"}))
    assert [entry["level"] for entry in entries(capfd)] == [level]


async def test_log_message_that_cannot_be_formatted_names_its_source_line(capfd):
    configured()
    wrong = {"levelno": 30, "msg": "%d", "args": ("secret",), "pathname": "library.py", "lineno": 7}
    StructlogHandler().handle(logging.makeLogRecord(wrong))
    assert [entry["event"] for entry in entries(capfd)] == ["the message of library.py:7 does not match its arguments"]


async def test_log_lines_of_the_console_cannot_be_forged(capfd):
    configured("console")
    structlog.get_logger().warning("refused", path="/a\n2026-01-01 [info] forged", agent="\x1b[2J")
    logging.getLogger("some.library").warning("name: %s", "x\r\nforged")
    written = capfd.readouterr().err
    assert len(written.splitlines()) == 2
    assert "\x1b[2J" not in written


FORGED = "x\n2026-01-01T00:00:00.000000Z [error    ] FAKE\r\x1b[31mred\x9b2J\u2028\u202e"


def events(written):
    """Return the first lines of the events that the console shows, without the access log."""
    lines = [line for line in written.removesuffix("\n").split("\n") if not line.startswith("    ")]
    return [line for line in lines if "request.completed" not in line]


@pytest.mark.parametrize("text", [FORGED, "plain", "a\nb\nc", "\r\n\r\n", "\x1b[2J" * 10])
@pytest.mark.parametrize("path", ["/under_test/repeating", "/under_test/stopping"])
async def test_log_of_one_failed_request_is_one_event_of_the_console(wire, capfd, path, text):
    session = f"Session {await wire.session()}"
    configure(LogSettings(format="console"), ["tests"])
    capfd.readouterr()
    sending = wire.send(session, "POST", path, json.dumps({"text": text}).encode(), "application/json")
    if path.endswith("stopping"):
        await asyncio.wait({asyncio.ensure_future(sending)}, timeout=5)
    else:
        assert (await sending).status == 500
    written = capfd.readouterr().err
    [event] = events(written)
    assert "failed" in event
    assert written.count("plugin_under_test.py") >= 1
    assert written.replace("\n", "").isprintable()


@pytest.mark.parametrize(("level", "is_cut"), [("info", True), ("debug", False)])
async def test_log_of_a_failed_request_is_cut_to_the_plugins_frames(wire, capfd, level, is_cut):
    session = f"Session {await wire.session()}"
    configure(LogSettings(format="console", level=level), ["tests"])
    capfd.readouterr()
    body = json.dumps({"text": "why"}).encode()
    assert (await wire.send(session, "POST", "/under_test/repeating", body, "application/json")).status == 500
    written = capfd.readouterr().err
    assert ("more frames; set [log] level to debug to see all" in written) is is_cut
    assert "RuntimeError: cannot repeat why" in written


async def test_log_of_a_failed_request_is_one_json_event(wire, capfd):
    session = f"Session {await wire.session()}"
    configure(LogSettings(format="json"), ["tests"])
    capfd.readouterr()
    body = json.dumps({"text": FORGED}).encode()
    await wire.send(session, "POST", "/under_test/repeating", body, "application/json")
    assert [entry["event"] for entry in entries(capfd)] == ["handler.failed", "request.completed"]


async def test_log_lines_of_a_lifecycle_job_have_the_site(wire, capfd, site):
    handled = asyncio.Event()

    async def handle(call):
        logging.getLogger("tests.plugin").warning("handled for %s", call.tenant.id)
        handled.set()

    spec = JobSpec("neighbour", "addon_enabled", JobKind.LIFECYCLE, handle)
    wire.addon.background.worker._executor._specs["neighbour", "addon_enabled"] = spec
    row = await TenantRow.get(client_key=site.client_key)
    configured()
    await JobQueue().put(NewJob("neighbour", "addon_enabled", JobKind.LIFECYCLE, tenant_id=row.id))
    async with asyncio.timeout(60):
        await handled.wait()
    (entry,) = [entry for entry in entries(capfd) if entry["event"] == f"handled for {row.id}"]
    assert (entry["plugin"], entry["tenant"]) == ("neighbour", site.client_key)


class FullDisk(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_log_line_that_cannot_be_written_fails_no_request(monkeypatch):
    monkeypatch.setattr("sys.stderr", FullDisk())
    configured()
    structlog.get_logger().warning("lost")
    logging.getLogger("some.library").error("lost as well")
