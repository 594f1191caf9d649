"""Installs: only with the host's RS256 token for exactly this request."""

import json
import time

import jwt
import pytest
from addonkit.protocol.canonical import CONTEXT_QSH, query_hash
from addonkit.testing import InstallKeys
from addonkit.testing.site import fresh_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refused(wire, site, token, body, status=401, event="installed"):
    """Return whether a request was refused and the site's secret is still unknown."""
    answer = await wire.send_lifecycle(event, token, body)
    return answer.status == status and not await wire.is_known(site)


async def test_install_is_accepted_and_opens_pages_before_enabled(wire, newcomer):
    answer = await wire.send_lifecycle("installed", *wire.installed(newcomer))
    assert (answer.status, answer.body) == (204, b"")
    assert await wire.is_known(newcomer)


async def test_install_without_a_token_is_refused(wire, newcomer):
    assert await refused(wire, newcomer, None, wire.payload(newcomer, "installed"))


async def test_install_signed_with_its_own_shared_secret_is_refused(wire, newcomer):
    token = wire.token("POST", "/lifecycle/installed", newcomer, aud=wire.host.base_url)
    assert await refused(wire, newcomer, token, wire.payload(newcomer, "installed"))


@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_install_signed_with_the_sites_stored_secret_is_refused(wire, site, event):
    token = wire.token("POST", f"/lifecycle/{event}", site, aud=wire.host.base_url)
    body = wire.payload(site, event, sharedSecret=fresh_secret())
    assert (await wire.send_lifecycle(event, token, body)).status == 401
    assert await wire.is_known(site)


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
async def test_install_with_a_context_token_changes_nothing(wire, site, event):
    token = site.context_token("acc-1")
    assert (
        await wire.send_lifecycle(event, token, wire.payload(site, event, sharedSecret=fresh_secret()))
    ).status == 401
    assert await wire.is_known(site)


@pytest.mark.parametrize("qsh", [CONTEXT_QSH, None, "", "0" * 64])
@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_install_signed_for_another_request_is_refused(wire, site, event, qsh):
    token, _ = wire.installed(site, event, qsh=qsh)
    assert (
        await wire.send_lifecycle(event, token, wire.payload(site, event, sharedSecret=fresh_secret()))
    ).status == 401
    assert await wire.is_known(site)


@pytest.mark.parametrize(
    ("made_for", "sent_to"), [("installed", "uninstalled"), ("uninstalled", "installed"), ("installed", "enabled")]
)
async def test_lifecycle_token_is_refused_at_another_endpoint(wire, site, made_for, sent_to):
    token, _ = wire.installed(site, made_for)
    assert (await wire.send_lifecycle(sent_to, token, wire.payload(site, sent_to))).status == 401
    assert await wire.is_known(site)


async def test_install_with_a_changed_query_is_refused(wire, newcomer):
    token, body = wire.installed(newcomer)
    answer = await wire.send(f"JWT {token}", "POST", "/lifecycle/installed?user_key=admin", body)
    assert answer.status == 401


async def test_install_with_a_signed_query_is_accepted(wire, newcomer):
    target = "/lifecycle/installed?user_key=admin"
    token, body = wire.installed(newcomer, qsh=query_hash("POST", *target.split("?")))
    assert (await wire.send(f"JWT {token}", "POST", target, body)).status == 204


async def test_install_with_the_token_in_the_query_is_refused(wire, newcomer):
    token, body = wire.installed(newcomer)
    assert (await wire.ask("POST", f"/lifecycle/installed?jwt={token}", body=body)).status == 401


@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_lifecycle_token_with_another_sites_body_is_refused(wire, site, event):
    other = await wire.host.install()
    token, _ = wire.installed(other, event)
    body = wire.payload(site, event, sharedSecret=fresh_secret())
    assert (await wire.send_lifecycle(event, token, body)).status == 401
    assert await wire.is_known(site)


@pytest.mark.parametrize(
    "audience",
    [None, "", [], "https://other.example", "com.example.test", ["http://localhost:8000", "https://other.example"]],
)
async def test_install_for_another_audience_or_none_is_refused(wire, newcomer, audience):
    token, body = wire.installed(newcomer, aud=audience)
    assert await refused(wire, newcomer, token, body)


async def test_install_audience_may_end_with_a_slash(wire, newcomer):
    assert (
        await wire.send_lifecycle("installed", *wire.installed(newcomer, aud=[f"{wire.host.base_url}/"]))
    ).status == 204


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_install_signed_with_the_public_key_as_secret_is_refused(wire, newcomer, algorithm):
    claims = wire.claims("POST", "/lifecycle/installed", newcomer, aud=wire.host.base_url)
    token = hmac_token(algorithm, claims, wire.host.keys.public_pem.encode(), wire.host.keys.kid)
    assert await refused(wire, newcomer, token, wire.payload(newcomer, "installed"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "RS512", "ES256", None])
async def test_install_with_another_algorithm_is_refused(wire, newcomer, algorithm):
    good, body = wire.installed(newcomer)
    header = {"alg": algorithm, "kid": wire.host.keys.kid, "typ": "JWT"}
    token = ".".join([encoded(header), *good.split(".")[1:]])
    assert await refused(wire, newcomer, token, body)
    assert await refused(wire, newcomer, token.rpartition(".")[0] + ".", body)


@pytest.mark.parametrize("kid", [None, "", "../x", "http://127.0.0.1:1/x", "k?x", "k\n", "k" * 300, 7])
async def test_install_with_an_unsafe_key_id_is_refused(wire, newcomer, kid):
    good, body = wire.installed(newcomer)
    header = {"alg": "RS256", "typ": "JWT", **({"kid": kid} if kid is not None else {})}
    assert await refused(wire, newcomer, ".".join([encoded(header), *good.split(".")[1:]]), body)


async def test_install_with_an_unknown_key_id_is_refused(wire, newcomer):
    stranger = InstallKeys(kid="stranger")
    claims = wire.claims("POST", "/lifecycle/installed", newcomer, aud=wire.host.base_url)
    assert await refused(wire, newcomer, stranger.sign(claims), wire.payload(newcomer, "installed"))


@pytest.mark.parametrize("field", ["jku", "x5u", "jwk", "x5c"])
async def test_install_key_in_the_token_itself_is_ignored(wire, newcomer, field):
    from cryptography.hazmat.primitives.asymmetric import rsa

    claims = wire.claims("POST", "/lifecycle/installed", newcomer, aud=wire.host.base_url)
    own = rsa.generate_private_key(65537, 2048)
    headers = {"kid": wire.host.keys.kid, field: "http://127.0.0.1:1/key"}
    token = jwt.encode(claims, own, algorithm="RS256", headers=headers)
    assert await refused(wire, newcomer, token, wire.payload(newcomer, "installed"))


@pytest.mark.parametrize(
    "from_now_s",
    [
        {"exp": None},
        {"iat": None},
        {"iss": None},
        {"exp": -60, "iat": -120},
        {"exp": 99_999},
        {"iat": 600, "exp": 700},
    ],
)
async def test_install_outside_of_its_lifetime_is_refused(wire, newcomer, from_now_s):
    now = int(time.time())
    changes = {claim: None if apart is None else now + apart for claim, apart in from_now_s.items()}
    token, body = wire.installed(newcomer, **changes)
    assert await refused(wire, newcomer, token, body)


async def test_install_with_a_duplicate_claim_is_refused(wire, newcomer):
    token, body = wire.installed(newcomer)
    header, _, _ = token.split(".")
    claims = wire.claims("POST", "/lifecycle/installed", newcomer, aud=wire.host.base_url)
    twice = json.dumps(claims)[:-1] + f', "iss": "{newcomer.client_key}"' + "}"
    signed = InstallKeys(wire.host.keys.private_pem, wire.host.keys.kid)
    segment = f"{header}.{encoded_bytes(twice.encode())}"
    assert await refused(wire, newcomer, f"{segment}.{rs256(signed, segment)}", body)


def encoded(header):
    return encoded_bytes(json.dumps(header).encode())


def encoded_bytes(data):
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(data).rstrip(b"=").decode()


def rs256(keys, segment):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    key = serialization.load_pem_private_key(keys.private_pem.encode(), None)
    return encoded_bytes(key.sign(segment.encode(), padding.PKCS1v15(), hashes.SHA256()))


def hmac_token(algorithm, claims, key, kid):
    """Sign by hand, since libraries refuse to sign with a public key."""
    import hashlib
    import hmac

    segment = f"{encoded({'alg': algorithm, 'kid': kid, 'typ': 'JWT'})}.{encoded(claims)}"
    digest = hmac.new(key, segment.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    return f"{segment}.{encoded_bytes(digest)}"
