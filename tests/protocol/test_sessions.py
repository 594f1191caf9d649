"""Session tokens: ours, short, bound to one page, and no host's."""

from dataclasses import replace

import jwt
import pytest
from addonkit.context import Licence
from addonkit.errors import TokenInvalid
from addonkit.protocol import Page, Sessions, peek, sign, verify

NOW = 1_800_000_000
DAY = 24 * 60 * 60
KEYS = [("2026b", b"b" * 32), ("2026a", b"a" * 32)]
FIXED_TOKEN = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjIwMjZiIiwidHlwIjoiYWRkb25raXQtc2Vzc2lvbiJ9.eyJpc3MiOiJjb20uZXhhbXBsZS5raXQiLCJhdWQi"
    "OiJhZGRvbmtpdC1zZXNzaW9uOmNvbS5leGFtcGxlLmtpdCIsImlhdCI6MTgwMDAwMDAwMCwiZXhwIjoxODAwMDAwOTAwLCJjb250ZXh0Ijp7ImNsaW"
    "VudF9rZXkiOiJjbGllbnQtMSIsInBsdWdpbiI6Imlzc3VlX3BhbmVsIiwib2JqZWN0cyI6eyJpc3N1ZV9rZXkiOiJBQi0xIn0sImxpY2VuY2UiOiJh"
    "Y3RpdmUiLCJyZW5ld2FibGVfdW50aWwiOjE4MDAwODY0MDB9LCJzdWIiOiJhY2MtMSJ9.Z4lMVpDeQOeq7p1z6eZuMYAgRi9IgvfS959uu9iJ6Xs"
)
PAGE = Page("client-1", "acc-1", "issue_panel", {"issue_key": "AB-1"}, Licence.ACTIVE)


@pytest.fixture
def sessions():
    return Sessions(KEYS, "com.example.kit")


def test_page_is_read_as_it_was_minted(sessions):
    assert sessions.read(sessions.mint(PAGE, NOW), NOW) == replace(PAGE, renewable_until=NOW + DAY)


@pytest.mark.parametrize("endpoint", ["issue_panel.page", "", None])
def test_session_knows_the_endpoint_of_its_page(sessions, endpoint):
    page = replace(PAGE, endpoint=endpoint)
    token = sessions.mint(page, NOW)
    assert sessions.read(token, NOW).endpoint == endpoint
    stated = jwt.decode(token, options={"verify_signature": False})["context"]
    assert ("endpoint" in stated) == (endpoint is not None)


def test_session_of_the_same_key_is_read_in_every_release(sessions):
    """During an upgrade, processes of two releases serve one page; so neither the format nor the key may change."""
    assert sessions.read(FIXED_TOKEN, NOW) == replace(PAGE, renewable_until=NOW + DAY)


def test_anonymous_page_stays_anonymous(sessions):
    page = replace(PAGE, account_id=None, objects={}, licence=Licence.UNKNOWN)
    assert sessions.read(sessions.mint(page, NOW), NOW).account_id is None


def test_objects_of_a_page_cannot_be_changed(sessions):
    page = sessions.read(sessions.mint(PAGE, NOW), NOW)
    with pytest.raises(TypeError):
        page.objects["issue_key"] = "AB-2"


def test_session_lives_for_fifteen_minutes_to_the_second(sessions):
    token = sessions.mint(PAGE, NOW)
    assert sessions.read(token, NOW + 899)
    with pytest.raises(TokenInvalid, match="session has expired"):
        sessions.read(token, NOW + 900)


def test_session_from_the_future_is_refused(sessions):
    with pytest.raises(TokenInvalid, match="future"):
        sessions.read(sessions.mint(PAGE, NOW + 60), NOW)


def test_expired_session_is_renewed_for_a_day_and_no_longer(sessions):
    token = sessions.mint(PAGE, NOW)
    assert sessions.read(token, NOW + DAY - 1, allow_expired=True).renewable_until == NOW + DAY
    with pytest.raises(TokenInvalid, match="reload"):
        sessions.read(token, NOW + DAY, allow_expired=True)


def test_renewal_does_not_extend_the_session(sessions):
    page = sessions.read(sessions.mint(PAGE, NOW), NOW + 5000, allow_expired=True)
    renewed = sessions.mint(page, NOW + DAY - 10)
    assert sessions.read(renewed, NOW + DAY - 1).renewable_until == NOW + DAY
    with pytest.raises(TokenInvalid, match="session has expired"):
        sessions.read(renewed, NOW + DAY)
    with pytest.raises(TokenInvalid, match="session has expired"):
        sessions.mint(page, NOW + DAY)


def test_page_cannot_ask_for_more_than_a_day(sessions):
    token = sessions.mint(replace(PAGE, renewable_until=NOW + 10 * DAY), NOW)
    assert sessions.read(token, NOW).renewable_until == NOW + DAY


def test_expired_session_must_still_be_signed(sessions):
    token = Sessions([("2026b", b"x" * 32)], "com.example.kit").mint(PAGE, NOW)
    with pytest.raises(TokenInvalid, match="not signed with the issuer"):
        sessions.read(token, NOW + 1000, allow_expired=True)


def test_first_key_signs_and_all_verify(sessions):
    former = Sessions(KEYS[1:], "com.example.kit").mint(PAGE, NOW)
    assert peek(sessions.mint(PAGE, NOW)).key_id == "2026b"
    assert sessions.read(former, NOW).tenant_key == "client-1"


def test_session_signed_with_a_removed_key_is_refused(sessions):
    with pytest.raises(TokenInvalid, match="signing key"):
        Sessions(KEYS[1:], "com.example.kit").read(sessions.mint(PAGE, NOW), NOW)


def test_session_of_another_add_on_is_refused(sessions):
    token = Sessions(KEYS, "com.example.other").mint(PAGE, NOW)
    with pytest.raises(TokenInvalid, match="'iss'"):
        sessions.read(token, NOW)


def test_encryption_key_itself_signs_no_session(sessions):
    token = sessions.mint(PAGE, NOW)
    with pytest.raises(TokenInvalid, match="not signed with the issuer"):
        verify(
            token,
            b"b" * 32,
            "HS256",
            issuer="com.example.kit",
            audiences=["addonkit-session:com.example.kit"],
            now=NOW,
            kind="addonkit-session",
        )


def test_session_token_is_refused_where_the_hosts_are_expected(sessions):
    token = sessions.mint(PAGE, NOW)
    with pytest.raises(TokenInvalid, match="not of the kind"):
        verify(token, b"s" * 32, "HS256", issuer="com.example.kit", audiences=["com.example.kit"], now=NOW)


def test_host_token_is_refused_where_a_session_is_expected(sessions):
    claims = {"iss": "com.example.kit", "aud": "addonkit-session:com.example.kit", "iat": NOW, "exp": NOW + 180}
    with pytest.raises(TokenInvalid, match="signing key"):
        sessions.read(sign(claims, b"s" * 32), NOW)
    with pytest.raises(TokenInvalid, match="not of the kind"):
        sessions.read(sign(claims, b"s" * 32, header={"kid": "2026b"}), NOW)
    with pytest.raises(TokenInvalid, match="not signed with the issuer"):
        sessions.read(sign(claims, b"s" * 32, header={"kid": "2026b", "typ": "addonkit-session"}), NOW)


def test_session_whose_tenant_was_changed_is_refused(sessions):
    head, _, signature = sessions.mint(PAGE, NOW).split(".")
    _, claims, _ = sessions.mint(replace(PAGE, tenant_key="client-2"), NOW).split(".")
    with pytest.raises(TokenInvalid, match="not signed with the issuer"):
        sessions.read(f"{head}.{claims}.{signature}", NOW)


def test_token_of_8192_characters_is_minted_and_a_longer_one_is_refused(sessions):
    lengths = []
    with pytest.raises(TokenInvalid, match="pass fewer"):  # noqa: PT012 - the last of several fails
        for size in range(5700, 6000):
            token = sessions.mint(replace(PAGE, objects={"macro_body": "x" * size}), NOW)
            lengths.append(len(token))
            assert sessions.read(token, NOW).objects == {"macro_body": "x" * size}
    assert lengths[-1] == 8192


def test_page_with_more_objects_than_fit_is_refused_when_minted(sessions):
    with pytest.raises(TokenInvalid, match="pass fewer"):
        sessions.mint(replace(PAGE, objects={"macro_body": "x" * 8000}), NOW)


@pytest.mark.parametrize("spoiled", [{}, {"licence": "gold"}, {"objects": 1}, {"renewable_until": "x"}])
def test_session_of_another_release_is_refused(sessions, spoiled):
    token = sessions.mint(PAGE, NOW)
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["context"] = {**claims["context"], **spoiled} if spoiled else {}
    header = {"typ": "addonkit-session", "kid": "2026b"}
    other = sign(claims, sessions._keys["2026b"], header=header)
    with pytest.raises(TokenInvalid, match="another release"):
        sessions.read(other, NOW)


@pytest.mark.parametrize("audience", [{}, {"aud": "com.example.kit"}, {"aud": ["addonkit-session:com.example.other"]}])
def test_session_without_our_audience_is_refused(sessions, audience):
    claims = jwt.decode(sessions.mint(PAGE, NOW), options={"verify_signature": False})
    del claims["aud"]
    header = {"typ": "addonkit-session", "kid": "2026b"}
    with pytest.raises(TokenInvalid, match=r"audience|'aud'"):
        sessions.read(sign(claims | audience, sessions._keys["2026b"], header=header), NOW)


def test_sessions_without_a_key_are_refused():
    with pytest.raises(ValueError, match="encryption_keys"):
        Sessions([], "com.example.kit")
