"""Access log: one line per request, without credentials."""

import asyncio
import json

import pytest
import pytest_asyncio
from addonkit.cli.logs import configure
from addonkit.current import origin_scope
from addonkit.edge.access_log import AccessLog, is_error
from addonkit.edge.request import InboundRequest, RequestRecord
from addonkit.origin import Origin, Trace
from addonkit.settings import LogSettings

from tests.support.plugin_under_test import PAUSE, Addon, deployment, running_addon
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLXNvbWVib2R5"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    async with running_addon(tmp_path_factory.mktemp("addon"), log={"access": True}) as running:
        yield running


def accessed(capfd):
    """Return the access log lines written so far."""
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "request.completed"]


async def line_of(wire, capfd, asking, **settings):
    """Return the single line that is written while the awaitable runs."""
    capfd.readouterr()
    configure(LogSettings(format="json", **settings))
    await asking
    (line,) = accessed(capfd)
    return line


async def test_access_log_has_one_line_per_request(wire, capfd):
    line = await line_of(wire, capfd, wire.open(PAGE))
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp")
    assert len(line.pop("request_id")) == 16
    assert line.pop("bytes") > 100
    assert line == {
        "event": "request.completed",
        "level": "info",
        "method": "GET",
        "path": "/under_test/page",
        "status": 200,
        "client": "127.0.0.1",
        "plugin": "under_test",
        "endpoint": "under_test.page",
        "tenant": wire.site.client_key,
    }


async def test_access_log_line_has_the_request_id_of_the_response(wire, capfd):
    asked = asyncio.ensure_future(wire.open(PAGE))
    line = await line_of(wire, capfd, asked)
    assert line["request_id"] == asked.result().header("x-request-id")


async def test_access_log_ignores_request_ids_of_the_caller(wire, capfd):
    headers = [("x-request-id", "mine"), ("traceparent", "mine"), ("x-correlation-id", "mine")]
    assert "mine" not in json.dumps(await line_of(wire, capfd, wire.ask("GET", "/under_test/open", headers)))


@pytest.mark.parametrize(
    ("method", "path", "plugin", "status"),
    [
        ("GET", "/atlassian-connect.json", "addonkit", 200),
        ("GET", "/readyz", "addonkit", 200),
        ("POST", "/lifecycle/installed", "addonkit", 401),
        ("GET", "/nowhere", None, 404),
        ("GET", "/under_test//page", None, 404),
        ("GET", "/under_test/page", "under_test", 401),
    ],
)
async def test_access_log_has_a_line_whoever_answers(wire, capfd, method, path, plugin, status):
    line = await line_of(wire, capfd, wire.ask(method, path))
    assert (line["plugin"], line["status"], line["path"]) == (plugin, status, path)


async def test_access_log_names_the_site_of_a_lifecycle_request(wire, capfd, site):
    line = await line_of(wire, capfd, wire.send_lifecycle("disabled", *wire.lifecycle_request(site, "disabled")))
    assert (line["tenant"], line["status"], line["bytes"]) == (site.client_key, 204, 0)


async def test_access_log_does_not_name_an_unverified_site(wire, capfd):
    line = await line_of(wire, capfd, wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', '/elsewhere')}"))
    assert (line["status"], line["tenant"]) == (401, None)


async def test_access_log_line_has_status_0_if_the_caller_leaves(wire, capfd):
    async def leave():
        PAUSE.reset()
        leaving = asyncio.create_task(wire.open("/under_test/waiting"))
        async with asyncio.timeout(60):
            await PAUSE.reached.wait()
        leaving.cancel()
        await asyncio.wait({leaving})

    assert (await line_of(wire, capfd, leave()))["status"] == 0


async def test_access_log_is_written_at_every_log_level(wire, capfd):
    assert (await line_of(wire, capfd, wire.open(PAGE), level="error"))["level"] == "info"


async def test_access_log_omits_query_referrer_and_user_agent(wire, capfd):
    headers = [("referer", f"https://site/?jwt={JWT}"), ("user-agent", JWT), ("cookie", JWT), ("x-any", JWT)]
    line = await line_of(wire, capfd, wire.ask("GET", f"/under_test/page?secret=1&jwt={JWT}", headers))
    assert "secret" not in json.dumps(line)
    assert JWT.rpartition(".")[2] not in json.dumps(line)


async def test_access_log_masks_a_token_in_the_path(wire, capfd):
    line = await line_of(wire, capfd, wire.ask("GET", f"/under_test/{JWT}/page"))
    assert line["path"] == "/under_test/<token>/page"


async def test_access_log_shortens_long_paths_and_methods(wire, capfd):
    line = await line_of(wire, capfd, wire.ask("X" * 1000, f"/{'a' * 5000}"))
    assert (len(line["path"]), len(line["method"])) == (501, 17)


async def test_access_log_is_off_by_default(tmp_path_factory):
    assert Addon(deployment(tmp_path_factory.mktemp("silent"))).edge.observers == ()


def drawn(capfd, share, traces, *, key=b"k" * 32, status=200, seconds=0.1, slow_s=1.0):
    """Return which of these requests have a line, and the lines."""
    configure(LogSettings(format="json"))
    capfd.readouterr()
    observe, found = AccessLog(key, share, slow_s), []
    for number, trace in enumerate(traces):
        request = InboundRequest("GET", f"/{number}", "", [], f"{number:016x}", record=RequestRecord(status=status))
        with origin_scope(Origin(request.request_id, trace)):
            observe(request, seconds)
    found = accessed(capfd)
    return {int(line["path"][1:]) for line in found}, found


def trace(number):
    return f"00-{number + 1:032x}-{1:016x}-00"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.999], ids=str)
async def test_access_log_draws_the_share_of_the_requests(capfd, share):
    own, lines = drawn(capfd, share, [None] * 2000)
    continued, more = drawn(capfd, share, [trace(number) for number in range(2000)])
    # Five standard deviations of a binomial distribution.
    assert len(own) == pytest.approx(2000 * share, abs=5 * (2000 * share * (1 - share)) ** 0.5)
    assert len(continued) == pytest.approx(2000 * share, abs=5 * (2000 * share * (1 - share)) ** 0.5)
    assert {line["sample_rate"] for line in [*lines, *more]} <= {share}


async def test_access_log_draws_all_requests_of_a_trace_or_none(capfd):
    for number in range(40):
        found, _ = drawn(capfd, 0.5, [trace(number)] * 5)
        assert len(found) in (0, 5)


async def test_access_log_draws_the_requests_of_a_trace_that_the_add_on_began(capfd):
    for number in range(40):
        began = Origin(f"{number:016x}").trace.traceparent
        found, _ = drawn(capfd, 0.5, [began, Trace.read(began).child().traceparent])
        assert len(found) in (0, 2)


async def test_access_log_draws_alike_in_all_processes_with_one_key_alone(capfd):
    traces = [trace(number) for number in range(300)]
    first, again = drawn(capfd, 0.5, traces)[0], drawn(capfd, 0.5, traces)[0]
    other = drawn(capfd, 0.5, traces, key=b"o" * 32)[0]
    assert first == again != other


async def test_access_log_with_a_larger_share_draws_the_same_requests_and_others(capfd):
    traces = [trace(number) for number in range(300)]
    assert drawn(capfd, 0.2, traces)[0] < drawn(capfd, 0.6, traces)[0]


@pytest.mark.parametrize(
    ("status", "seconds", "is_logged"),
    [
        (200, 0.999, False),
        (200, 1.0, True),
        (302, 0.1, False),
        (399, 0.1, False),
        (400, 0.1, True),
        (404, 0.1, True),
        (500, 0.1, True),
        (503, 0.1, True),
        (0, 0.1, True),
        (204, 30.0, True),
    ],
    ids=str,
)
async def test_access_log_has_all_errors_and_slow_requests(capfd, status, seconds, is_logged):
    found, lines = drawn(capfd, 0.0, [trace(1)], status=status, seconds=seconds)
    assert (len(found), is_error(status) or seconds >= 1) == (is_logged, is_logged)
    assert [line["sample_rate"] for line in lines] == [1.0] * is_logged


async def test_access_log_of_all_requests_has_no_sample_rate(capfd):
    _, lines = drawn(capfd, 1.0, [None] * 20)
    assert len(lines) == 20
    assert all("sample_rate" not in line for line in lines)


async def test_access_log_estimates_the_number_of_requests(capfd):
    _, lines = drawn(capfd, 0.25, [None] * 2000)
    _, failed = drawn(capfd, 0.25, [None] * 100, status=500)
    assert sum(1 / line["sample_rate"] for line in lines) == pytest.approx(2000, rel=0.25)
    assert sum(1 / line["sample_rate"] for line in failed) == 100


async def test_access_log_of_an_add_on_is_sampled_as_configured(tmp_path, capfd):
    async with running_addon(tmp_path, log={"access": True, "access_sample": 0.0, "access_slow_s": 600}) as wire:
        configure(LogSettings(format="json"))
        capfd.readouterr()
        assert (await wire.open(PAGE)).status == 200
        assert (await wire.ask("GET", "/nowhere")).status == 404
        lines = accessed(capfd)
    assert [(line["status"], line["sample_rate"]) for line in lines] == [(404, 1.0)]


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), "many", True], ids=str)
async def test_access_sample_must_be_between_0_and_1(value):
    if value is True:
        assert LogSettings(access_sample=value).access_sample == 1.0
        return
    with pytest.raises(ValueError, match="access_sample"):
        LogSettings(access_sample=value)
