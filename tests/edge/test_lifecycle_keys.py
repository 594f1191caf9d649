"""Keys of lifecycle requests: what is checked before a key host is asked, and floods of invented key ids."""

import time
from dataclasses import replace

import pytest
import pytest_asyncio
from addonkit.edge import fetch_budget
from addonkit.edge.install_keys import InstallKeys
from addonkit.protocol.canonical import CONTEXT_QSH
from addonkit.tenancy.install_key_store import InstallKeyStore
from addonkit.testing import InstallKeys as Signing
from addonkit.testing.loopback import bind, serving

from tests.support.key_server import KeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def key_server(wire, monkeypatch):
    """A key host that knows no key, in place of the add-on's, and a small budget for asking it."""
    monkeypatch.setattr(fetch_budget, "FETCHES_PER_MINUTE", 20)
    server, edge = KeyServer(404, b""), wire.addon.edge
    async with serving(server, bind()) as url:
        keys = InstallKeys([url], store=InstallKeyStore())
        wire.addon.edge = replace(edge, lifecycle=replace(edge.lifecycle, install_keys=keys))
        yield server
        wire.addon.edge = edge
        await keys.close()


def invented(wire, site, event="installed", body=None, **claims):
    """A request whose key nobody has."""
    made = replace(wire, host=_HostWithKeys(wire.host, Signing()))
    return made.installed(site, event, body, **claims)


class _HostWithKeys:
    def __init__(self, host, keys):
        self._host, self.keys = host, keys

    def __getattr__(self, name):
        return getattr(self._host, name)


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": None},
        {"aud": []},
        {"aud": "https://other.example"},
        {"aud": ["http://localhost:8000", "https://other.example"]},
        {"exp": NOW - 3600, "iat": NOW - 3700},
        {"iat": NOW + 3600, "exp": NOW + 3700},
        {"exp": NOW + 86400},
        {"exp": NOW - 10, "iat": NOW},
        {"qsh": None},
        {"qsh": CONTEXT_QSH},
        {"qsh": "0" * 64},
        {"iss": None},
        {"iat": str(NOW)},
    ],
    ids=[
        "aud missing",
        "aud empty",
        "aud of another add-on",
        "aud with another add-on",
        "expired",
        "not yet valid",
        "lifetime too long",
        "lifetime negative",
        "qsh missing",
        "qsh of a context token",
        "qsh of another request",
        "iss missing",
        "iat as text",
    ],
)
@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_key_host_is_not_asked_for_a_token_that_would_be_refused(wire, newcomer, key_server, event, claims):
    answer = await wire.send_lifecycle(event, *invented(wire, newcomer, event, **claims))
    assert (answer.status, key_server.asked) == (401, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        {"clientKey": "another-site"},
        {"key": "another-addon"},
        {"eventType": "enabled"},
        {"baseUrl": None},
        {"productType": "bitbucket"},
        {"sharedSecret": "short"},
    ],
    ids=[
        "empty",
        "no JSON",
        "a list",
        "an empty object",
        "another site",
        "another add-on",
        "another event",
        "no base URL",
        "unknown product",
        "short secret",
    ],
)
async def test_key_host_is_not_asked_for_a_body_that_would_be_refused(wire, newcomer, key_server, body):
    token, made = invented(wire, newcomer, body=None if isinstance(body, bytes) else body)
    answer = await wire.send_lifecycle("installed", token, body if isinstance(body, bytes) else made)
    assert answer.status in (401, 422)
    assert key_server.asked == []
    # Nobody was authenticated, so that the reason stays in the log.
    assert b"field" not in answer.body
    assert b"unusable" not in answer.body


async def test_key_host_is_asked_for_a_request_that_may_be_genuine(wire, newcomer, key_server):
    answer = await wire.send_lifecycle("installed", *invented(wire, newcomer))
    assert (answer.status, len(key_server.asked)) == (401, 1)


async def test_install_with_a_stored_key_is_accepted_during_a_flood_of_invented_keys(wire, newcomer, key_server):
    statuses = {(await wire.send_lifecycle("installed", *invented(wire, newcomer))).status for _ in range(30)}
    assert statuses == {401, 503}
    assert len(key_server.asked) == 10
    assert (await wire.send_lifecycle("installed", *wire.installed(newcomer))).status == 204


@pytest.mark.parametrize("claims", [{"aud": "https://other.example"}, {"exp": NOW - 3600, "iat": NOW - 3700}])
async def test_install_with_a_new_key_is_accepted_during_a_flood_that_is_not_for_this_addon(
    wire, newcomer, key_server, claims
):
    for _ in range(100):
        await wire.send_lifecycle("installed", *invented(wire, newcomer, **claims))
    key_server.status, key_server.body = 200, Signing().public_pem.encode()
    token, body = invented(wire, newcomer)
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    assert len(key_server.asked) == 1


async def test_install_key_is_stored_only_after_a_request_was_verified_with_it(wire, newcomer, key_server):
    key_server.status, key_server.body = 200, Signing().public_pem.encode()
    before = set(wire.rows("SELECT key_id FROM addonkit_install_key"))
    token, body = invented(wire, newcomer)
    forged = token[: token.rindex(".") + 1] + "A" * 342
    assert (await wire.send_lifecycle("installed", forged, body)).status == 401
    assert set(wire.rows("SELECT key_id FROM addonkit_install_key")) == before
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    assert len(set(wire.rows("SELECT key_id FROM addonkit_install_key"))) == len(before) + 1
