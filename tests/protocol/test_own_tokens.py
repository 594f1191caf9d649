"""Own tokens: what their quick reader accepts is what the strict one accepts, in exactly one spelling."""

import pytest
from addonkit.context import Licence
from addonkit.errors import TokenInvalid
from addonkit.protocol import Page, Sessions, sign
from addonkit.protocol.keys import HMAC, Secret
from addonkit.protocol.own_tokens import OwnTokens
from addonkit.protocol.token_format import MAX_TOKEN
from addonkit.protocol.tokens import base64url
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000
HEADER = {"typ": "addonkit-session", "kid": "k"}
KEY = Secret(b"k" * 32)
SESSIONS = Sessions([("k", b"k" * 32), ("older", b"o" * 32)], "com.example.kit")
PAGE = Page("client-1", "acc-1", "issue_panel", {"issue_key": "AB-1"}, Licence.ACTIVE)
TOKEN = SESSIONS.mint(PAGE, NOW)
VALID = {"iss": "kit", "iat": 1, "exp": 2}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def tokens():
    return OwnTokens(KEY, HEADER)


def test_claims_are_read_as_they_were_signed(tokens):
    claims = VALID | {"context": {"objects": {"issue_key": "Ä-1"}}}
    assert tokens.claims_of(tokens.sign(claims)) == claims


@pytest.mark.parametrize(
    "change",
    [
        "{head}.{body}.{signature}=",
        "{head}.{body}.{signature} ",
        "{head}.{body}.{other_bits}",
        "{head}.{body}.",
        "{head}.{body}",
        "{head}..{signature}",
        "{head}.{body}=.{signature}",
        "{head}.{body}.{signature}.",
        ".{head}.{body}.{signature}",
        "{head}.{body}.{signature}é",
        "{head}.{body}.{signature}" + "A" * MAX_TOKEN,
        "",
    ],
    ids=[
        *("padded", "space", "unused bits", "no signature", "two segments", "no claims", "padded claims"),
        *("fourth segment", "empty first segment", "not ascii", "too long", "empty"),
    ],
)
def test_other_spelling_of_a_token_is_not_recognised(tokens, change):
    token = tokens.sign(VALID)
    head, body, signature = token.split(".")
    other_bits = signature[:-1] + ALPHABET[ALPHABET.index(signature[-1]) ^ 1]
    changed = change.format(head=head, body=body, signature=signature, other_bits=other_bits)
    assert (tokens.claims_of(token), tokens.claims_of(changed)) == (VALID, None)


@pytest.mark.parametrize(
    "token",
    [
        sign(VALID, b"x" * 32, header=HEADER),
        sign(VALID, KEY, header={"typ": "addonkit-session", "kid": "other"}),
        sign(VALID, KEY, header={"typ": "JWT", "kid": "k"}),
        sign(VALID, KEY, header={"kid": "k"}),
        sign(VALID, KEY),
    ],
    ids=["another key", "another kid", "another typ", "no typ", "no kid"],
)
def test_token_of_another_key_or_header_is_not_recognised(tokens, token):
    assert tokens.claims_of(token) is None


def outcome(read, token, now):
    try:
        return read(token, now)
    except TokenInvalid as refused:
        return str(refused), refused.kind


def strictly(token, now):
    """Read a session in the way of tokens that another release may have written."""
    quick = SESSIONS._tokens_by_head
    SESSIONS._tokens_by_head = {}
    try:
        return SESSIONS.read(token, now)
    finally:
        SESSIONS._tokens_by_head = quick


@st.composite
def changed_tokens(draw):
    token = list(TOKEN)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(token) - 1))
        token[place] = draw(st.sampled_from([*ALPHABET, "", ".", "=", "é", "AB"]))
    return "".join(token)


@given(changed_tokens(), st.sampled_from([NOW, NOW - 31, NOW + 899, NOW + 900, NOW + 931, NOW + 10**6]))
def test_both_ways_read_a_changed_session_alike(token, now):
    assert outcome(SESSIONS.read, token, now) == outcome(strictly, token, now)


KEYS = SESSIONS._keys
CLAIMS = {
    "iss": "com.example.kit",
    "aud": "addonkit-session:com.example.kit",
    "iat": NOW,
    "exp": NOW + 900,
    "sub": "acc-1",
    "context": {"client_key": "c", "plugin": "p", "objects": {}, "licence": "active", "renewable_until": NOW + 901},
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sub": ""},
        {"sub": None},
        {"sub": 5},
        {"sub": "x" * 129},
        {"sub": "\x00"},
        {"iss": "com.example.other"},
        {"iss": None},
        {"aud": "addonkit-session:com.example.other"},
        {"aud": ["addonkit-session:com.example.kit"]},
        {"aud": None},
        {"iat": True},
        {"iat": float(NOW)},
        {"iat": str(NOW)},
        {"iat": -1},
        {"exp": NOW},
        {"exp": NOW + 901},
        {"exp": None},
        {"nbf": NOW + 3600},
        {"nbf": "soon"},
        {"context": None},
        {"context": []},
        {"context": {}},
        {"context": {"client_key": "c"}},
        {"qsh": 1},
        {"jti": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["k", "older"])
def test_both_ways_read_claims_that_the_own_key_has_signed_alike(change, key):
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    token = sign(claims, KEYS[key], header={"typ": "addonkit-session", "kid": key})
    assert outcome(SESSIONS.read, token, NOW) == outcome(strictly, token, NOW)


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"", b"\xff", b"{}", b'{"iss":"kit"}', b'{"iss":"kit","iss":"kit","iat":1,"exp":2}']
)
def test_signed_token_whose_claims_cannot_be_read_is_left_to_the_strict_reader(tokens, body):
    signed = f"{tokens.head}.".encode() + base64url(body)
    token = signed + b"." + base64url(HMAC.sign(signed, KEY))
    assert tokens.claims_of(token.decode()) is None
