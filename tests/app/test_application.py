"""The Quart application: a fault of one plugin fails its own request and no other; bodies are limited in size."""

import asyncio
import time

import pytest
import pytest_asyncio
import structlog
from addonkit.app import Addon
from addonkit.errors import PluginError

from tests.support.plugin_under_test import PAUSE, REASON, deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = "application/json"


@pytest_asyncio.fixture(loop_scope="module")
async def session(wire):
    return f"Session {await wire.session()}"


async def test_failed_handler_responds_without_details(wire):
    answer = await wire.open("/under_test/failing")
    assert (answer.status, REASON in answer.text, "Traceback" in answer.text) == (500, False, False)
    assert answer.header("x-request-id") in answer.text


async def test_failed_handler_is_named_in_the_log(wire):
    with structlog.testing.capture_logs() as logs:
        await wire.open("/under_test/failing")
    (entry,) = [entry for entry in logs if entry["event"] == "handler.failed"]
    assert (entry["plugin"], entry["endpoint"]) == ("under_test", "under_test.failing")


async def test_debug_mode_of_quart_is_never_on(tmp_path, wire, monkeypatch):
    monkeypatch.setenv("QUART_DEBUG", "1")
    application = Addon(deployment(tmp_path)).application
    assert (application.debug, application.testing, application.config["PROPAGATE_EXCEPTIONS"]) == (False, False, None)


async def test_timeout_of_a_handler_responds_with_504(wire):
    began = time.monotonic()
    answer = await wire.open("/under_test/hanging")
    assert (answer.status, time.monotonic() - began < 30) == (504, True)


async def test_waiting_handler_does_not_block_other_requests(wire):
    PAUSE.reset()
    waiting = asyncio.create_task(wire.open("/under_test/waiting"))
    async with asyncio.timeout(60):
        await PAUSE.reached.wait()
    assert (await wire.open("/neighbour/calm")).text == "calm"
    assert not waiting.done()
    PAUSE.ended.set()
    assert (await waiting).text == "opened"


async def test_failed_handler_does_not_affect_other_plugins(wire):
    await wire.open("/under_test/failing")
    assert (await wire.open("/neighbour/calm")).status == 200


async def test_refusal_raised_within_a_handler_keeps_its_status(wire):
    answer = await wire.open(f"/under_test/page?issue_key={'x' * 9000}")
    assert (answer.status, "session token" in answer.text) == (401, False)


async def test_admission_that_fails_refuses_the_request(wire):
    answer = await wire.open("/under_test/page?issue_key=BREAK-1")
    assert (answer.status, REASON in answer.text) == (503, False)


async def test_admission_may_respond_instead_of_the_handler(wire):
    answer = await wire.open("/under_test/page?issue_key=SHUT-1")
    assert (answer.status, answer.text) == (403, "not admitted")


async def test_refused_request_runs_no_code_of_a_plugin(wire):
    refused = await wire.ask("GET", "/under_test/page?issue_key=AB-1")
    served = await wire.open("/under_test/page?issue_key=AB-1")
    assert (refused.header("x-plugin-ran"), served.header("x-plugin-ran")) == ("", "yes")


async def test_body_within_the_limit_is_read(wire, session):
    body = b'{"note": {"text": "' + b"x" * 500_000 + b'"}}'
    assert (await wire.send(session, "POST", "/under_test/notes", body, JSON)).json() == {"length": 500_000}


async def test_body_over_the_limit_is_refused(wire, session):
    body = b'{"note": {"text": "' + b"x" * 1_100_000 + b'"}}'
    assert (await wire.send(session, "POST", "/under_test/notes", body, JSON)).status == 413


async def test_body_over_the_limit_without_a_content_length_is_refused(wire, session):
    chunks = [b'{"note": {"text": "', *[b"x" * 100_000] * 12, b'"}}']
    headers = [("authorization", session), ("content-type", JSON)]
    assert (await wire.ask("POST", "/under_test/notes", headers, chunks)).status == 413


@pytest.mark.parametrize(("length", "status"), [(50, 200), (150, 413)])
async def test_body_limit_of_a_route_replaces_the_default(wire, session, length, status):
    body = b'{"text": "' + b"x" * length + b'"}'
    assert (await wire.send(session, "POST", "/under_test/small", body, JSON)).status == status


async def test_body_longer_than_its_content_length_is_refused(wire, session):
    headers = [("authorization", session), ("content-type", JSON), ("content-length", "10")]
    assert (await wire.ask("POST", "/under_test/notes", headers, [b"x" * 600_000] * 3)).status == 413


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b'{"note": 1}', b'{"note": {}}', b"[" * 100_000, b"\xff"])
async def test_body_that_is_invalid_is_refused_with_a_json_response(wire, session, body):
    answer = await wire.send(session, "POST", "/under_test/notes", body, JSON)
    assert (answer.status, answer.header("content-type")) == (400, JSON)


async def test_long_header_is_refused_as_a_token_and_ignored_otherwise(wire):
    long = "x" * 60_000
    assert (await wire.send(f"JWT {long}", "GET", "/under_test/who")).status == 401
    assert (await wire.ask("GET", "/under_test/open", [("x-long", long)])).status == 200


async def test_route_without_a_demand_stops_the_start(tmp_path, wire):
    with pytest.raises(PluginError, match="/unmarked/page"):
        Addon(deployment(tmp_path, addon={"plugins": ["unmarked"]}))


async def test_route_added_outside_of_plugins_is_refused(tmp_path, wire):
    async def slipped():
        return "never"

    application = wire.addon.application
    rule = application.url_rule_class("/slipped", endpoint="slipped", methods={"GET"})
    application.url_map.add(rule)
    application.view_functions["slipped"] = slipped
    answers = [await wire.ask("GET", "/slipped"), await wire.open("/slipped")]
    assert [(answer.status, "never" in answer.text) for answer in answers] == [(401, False)] * 2


async def test_error_in_the_edge_responds_with_500_and_no_details(wire):
    broken = wire.addon.edge.lifecycle.install_keys
    token, body = wire.installed()
    find, broken._known = broken._known, None
    try:
        answer = await wire.send_lifecycle("installed", token, body)
    finally:
        broken._known = find
    assert (answer.status, "Traceback" in answer.text) == (500, False)
    assert answer.header("cache-control") == "no-store"
