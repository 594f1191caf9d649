"""The operator's endpoint for metrics: authorization, and values that it must not contain."""

import hmac
from dataclasses import replace

import pytest
import pytest_asyncio
from addonkit.app import Addon
from addonkit.testing import Host, InstallKeys
from structlog.testing import capture_logs

from tests.support.plugin_under_test import deployment, running_addon
from tests.support.scraped_metrics import BEARER, TOKEN
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUESTS, REFUSALS = "addonkit_inbound_requests_total", "addonkit_inbound_refusals_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    async with running_addon(tmp_path_factory.mktemp("addon"), operations={"metrics_token": TOKEN}) as running:
        yield running


@pytest.mark.parametrize(
    "line",
    [
        None,
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer  {TOKEN}",
        f"JWT {TOKEN}",
        TOKEN,
        "Bearer \xff",
    ],
)
async def test_metrics_without_the_token_are_refused(wire, line):
    answer = await wire.ask("GET", "/metrics", [("authorization", line)] if line is not None else [])
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert "addonkit_" not in answer.text


async def test_metrics_with_two_tokens_are_refused(wire):
    assert (await wire.ask("GET", "/metrics", [*BEARER, *BEARER])).status == 401


async def test_metrics_token_in_the_query_is_refused(wire):
    assert (await wire.ask("GET", f"/metrics?token={TOKEN}")).status == 401


async def test_metrics_token_is_compared_in_constant_time(wire, monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append((one, other)) or True)
    assert (await wire.ask("GET", "/metrics", [("authorization", "Bearer x")])).status == 200
    assert compared == [(b"x", TOKEN.encode())]


async def test_metrics_are_text_and_not_cached(wire):
    answer = await wire.ask("GET", "/metrics", BEARER)
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.header("cache-control") == "no-store"


async def test_metrics_accept_only_get_and_head(wire):
    answers = [await wire.ask(method, "/metrics", BEARER) for method in ("HEAD", "POST")]
    assert [(answer.status, answer.body == b"") for answer in answers] == [(200, True), (405, False)]


async def test_metrics_on_the_operations_listener_need_no_token(wire):
    operators = replace(wire, addon=wire.addon.operations)
    assert REQUESTS in (await operators.ask("GET", "/metrics")).text


@pytest.mark.parametrize("error", [RuntimeError("x"), LookupError(), OSError("no space")], ids=repr)
async def test_failure_on_the_operations_listener_is_logged_with_its_method_and_reported(wire, monkeypatch, error):
    reported = []

    async def broken(*_):
        raise error

    monkeypatch.setattr(wire.addon.metrics, "text", broken)
    monkeypatch.setattr("addonkit.edge.failed_request.report_failure", lambda *given: reported.append(given))
    operators = replace(wire, addon=wire.addon.operations)
    with capture_logs() as lines:
        answer = await operators.ask("GET", "/metrics")
    assert answer.status == 500
    [line] = [line for line in lines if line["event"] == "request.failed"]
    assert (line["method"], line["path"], line["request_id"]) == ("GET", "/metrics", answer.header("x-request-id"))
    [(found, facts)] = reported
    assert (found, facts.request_id) == (error, line["request_id"])


async def test_metrics_are_off_if_nobody_could_read_them(tmp_path):
    addon = Addon(deployment(tmp_path))
    assert (addon.metrics, addon.edge.observers) == (None, ())
    nobodys = Wire(addon, Host(None, InstallKeys()))
    assert (await nobodys.ask("GET", "/metrics", BEARER)).status == 404


async def test_metrics_are_not_on_the_main_listener_without_a_token(tmp_path):
    addon = Addon(deployment(tmp_path, operations={"bind": "127.0.0.1:0"}))
    assert (await Wire(addon, Host(None, InstallKeys())).ask("GET", "/metrics", BEARER)).status == 404
    assert (await Wire(addon.operations, Host(None, InstallKeys())).ask("GET", "/metrics")).status == 200


async def test_metrics_token_is_not_in_a_repr(wire):
    assert TOKEN not in repr(wire.addon.edge) + repr(wire.addon.operations)
