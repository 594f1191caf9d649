"""Payloads of valid lifecycle tokens: which fields are required, and how large they may be."""

import pytest
from addonkit.protocol.payloads import MAX_PAYLOAD
from addonkit.testing.site import fresh_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("length", [0, 1, 31, 513])
async def test_payload_with_a_shared_secret_of_wrong_length_is_refused_by_name(wire, newcomer, length):
    newcomer.shared_secret = "s" * length
    answer = await wire.send_lifecycle("installed", *wire.installed(newcomer))
    assert (answer.status, "sharedSecret" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize("length", [32, 400])
async def test_payload_with_a_shared_secret_of_usual_length_is_accepted(wire, newcomer, length):
    newcomer.shared_secret = "s" * length
    assert (await wire.send_lifecycle("installed", *wire.installed(newcomer))).status == 204
    assert await wire.is_known(newcomer)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example",
        "https://x.atlassian.net.evil.example",
        "https://evilatlassian.net",
        "https://atlassian.net",
        "https://x.atlassian.net@evil.example",
        "https://user:pass@x.atlassian.net",
        "https://x.atlassian.net:8443",
        "http://x.atlassian.net",
        "http://169.254.169.254",
        "https://10.0.0.1",
        "https://[::1]",
        "http://0.0.0.0",
        "http://2130706433",
        "https://x.atlassian.net?x=1",
        "https://x.atlassian.net#x",
        "https://x.atlassian.net/../x",
        "https://x.atlassian.net\\@evil.example",
        "https://evil.example/x.atlassian.net",
        "https://evil.example#.atlassian.net",
        "https://evil.example?.atlassian.net",
        "https://x.atlassian.net\n.evil.example",
        "//x.atlassian.net",
        "ftp://x.atlassian.net",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "x.atlassian.net",
        "https://x.atlassian.net.",
        "https://ⓧ.atlassian.net",
        "",
    ],
)
async def test_payload_with_a_base_url_outside_the_hosts_domains_is_refused_by_name(wire, newcomer, base_url):
    token, body = wire.installed(newcomer, body={"baseUrl": base_url})
    answer = await wire.send_lifecycle("installed", token, body)
    assert (answer.status, "baseUrl" in answer.json()["error"]) == (422, True)
    assert not await wire.is_known(newcomer)


async def test_payload_that_is_invalid_leaves_the_tenant_unchanged(wire, site):
    token, _ = wire.installed(site)
    body = wire.payload(site, "installed", sharedSecret=fresh_secret(), baseUrl="https://evil.example")
    assert (await wire.send_lifecycle("installed", token, body)).status == 422
    assert await wire.is_known(site)


@pytest.mark.parametrize("odd", [7, ["x"], {"a": 1}, "x" * 5000, "a\0b", "\ud800"])
async def test_payload_with_an_invalid_unused_field_is_accepted(wire, newcomer, odd):
    unread = ("cloudId", "description", "serviceEntitlementNumber", "entitlementId", "entitlementNumber")
    token, body = wire.installed(newcomer, body=dict.fromkeys(unread, odd))
    assert (await wire.send_lifecycle("installed", token, body)).status == 204


async def test_payload_of_another_add_on_is_refused(wire, newcomer):
    token, body = wire.installed(newcomer, body={"key": "com.example.other"})
    assert (await wire.send_lifecycle("installed", token, body)).status == 422


@pytest.mark.parametrize("field", ["key", "clientKey", "baseUrl", "productType", "eventType", "sharedSecret"])
async def test_payload_without_a_required_field_is_refused_by_name(wire, newcomer, field):
    token, body = wire.installed(newcomer, body={field: None})
    answer = await wire.send_lifecycle("installed", token, body)
    assert (answer.status, field in answer.text) == (422, True)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b'{"key": 1', b"\xff", b"[" * 60_000, b'{"a":NaN}'])
async def test_payload_that_is_not_a_json_object_is_refused(wire, newcomer, body):
    token, _ = wire.installed(newcomer)
    assert (await wire.send_lifecycle("installed", token, body)).status == 422


async def test_payload_with_a_duplicate_field_is_refused(wire, newcomer):
    token, body = wire.installed(newcomer)
    twice = body[:-1] + f', "clientKey": "{newcomer.client_key}"'.encode() + b"}"
    assert (await wire.send_lifecycle("installed", token, twice)).status == 422


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
async def test_payload_over_the_size_limit_is_refused_before_it_is_read(wire, site, event):
    token, _ = wire.lifecycle_request(site, event)
    assert (await wire.send_lifecycle(event, token, b"x" * 70_000)).status == 413


async def test_payload_over_the_size_limit_without_content_length_is_refused(wire, site):
    token, _ = wire.installed(site)
    headers = [("authorization", f"JWT {token}")]
    assert (await wire.ask("POST", "/lifecycle/installed", headers, [b"x" * 40_000] * 3)).status == 413


async def test_payload_refusal_is_json_whatever_the_caller_accepts(wire, newcomer):
    token, body = wire.installed(newcomer, body={"baseUrl": "https://<b>x</b>"})
    headers = [("authorization", f"JWT {token}"), ("accept", "text/html")]
    answer = await wire.ask("POST", "/lifecycle/installed", headers, body)
    assert (answer.status, answer.header("content-type")) == (422, "application/json")


EVENTS = ["installed", "enabled", "disabled", "uninstalled"]


@pytest.mark.parametrize("event", EVENTS)
async def test_payload_over_the_size_limit_is_refused_while_it_arrives(wire, event):
    """The rest never arrives, so a reader that waits for the whole body would not refuse it."""
    token, _ = wire.lifecycle_request(await wire.host.install(), event)
    headers = [("authorization", f"JWT {token}")]
    answer = await wire.ask("POST", f"/lifecycle/{event}", headers, [b"x" * (MAX_PAYLOAD // 2 + 1)] * 2 + [None])
    assert answer.status == 413


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("excess", "status"), [(0, 204), (1, 413)], ids=["at the limit", "above"])
async def test_payload_size_limit_is_exact(wire, monkeypatch, event, excess, status):
    site = await wire.host.install()
    token, body = wire.lifecycle_request(site, event)
    monkeypatch.setattr("addonkit.edge.lifecycle.MAX_PAYLOAD", len(body) - excess)
    headers = [("authorization", f"JWT {token}")]
    chunks = [body[:10], body[10:20], body[20:]]
    assert (await wire.ask("POST", f"/lifecycle/{event}", headers, chunks)).status == status
