"""Refusals of both servers over HTTP: each has exactly one log line, without its token and query."""

import httpx2
import pytest
import pytest_asyncio

from tests.support.served import configure, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HIDDEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLXNvbWVib2R5"
REQUESTS = {
    "unknown path": ("GET", "/nowhere", 404),
    "unknown file": ("GET", "/stranger_slow/static/none.css", 404),
    "ambiguous path": ("GET", "/stranger_slow/%2e%2e/word", 404),
    "method": ("DELETE", "/stranger_slow/word", 405),
    "lifecycle": ("POST", "/lifecycle/installed", 401),
    "lifecycle method": ("GET", "/lifecycle/installed", 405),
    "session": ("POST", "/addonkit/session", 401),
    "metrics": ("GET", "/metrics", 404),
    "probe": ("POST", "/readyz", 405),
    "token": ("GET", "/stranger_slow/word", 401),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["hypercorn", "granian"])
async def served(request, tmp_path_factory):
    if request.param == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    folder = tmp_path_factory.mktemp(request.param)
    configure(folder)
    async with serving(folder, "--server", request.param) as running:
        yield running


def refusals(served, answer):
    return [entry for entry in served.log() if entry.get("request_id") == answer.headers["x-request-id"]]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("kind", list(REQUESTS))
async def test_refusal_has_one_line_and_shows_its_reason_on_the_own_machine(served, kind, accept):
    method, path, status = REQUESTS[kind]
    sent = {"jwt" if kind in ("token", "session") else "state": HIDDEN}
    async with httpx2.AsyncClient() as client:
        answer = await client.request(method, served.url + path, params=sent, headers={"accept": accept})
    assert answer.status_code == status
    await until(lambda: refusals(served, answer))
    (entry,) = refusals(served, answer)
    assert (entry["event"], entry["status"]) == ("request.refused", status)
    assert {"plugin", "endpoint", "reason", "path", "method"} <= entry.keys()
    shown = answer.json()["error"] if accept == "application/json" else answer.text.replace("&#x27;", "'")
    assert entry["reason"] in shown
    for text in (served.errors(), answer.text):
        assert HIDDEN.rpartition(".")[2] not in text


async def test_refusal_of_a_long_head_has_one_line_with_its_request_id(served):
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{served.url}/stranger_slow/word", headers={"x-long": "x" * 30_000})
    assert answer.status_code == 431
    await until(lambda: refusals(served, answer))
    (entry,) = refusals(served, answer)
    assert (entry["event"], entry["path"]) == ("request.refused", "/stranger_slow/word")
