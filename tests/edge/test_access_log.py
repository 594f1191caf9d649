"""Access log: one line per request, without credentials."""

import asyncio
import json

import pytest
import pytest_asyncio
from addonkit.cli.logs import configure
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
