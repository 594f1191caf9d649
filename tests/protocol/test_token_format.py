"""The parser of tokens: it accepts what PyJWT accepts, but for what could be read in two ways."""

import hashlib
import hmac
import json
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import jwt
import pytest
from addonkit.context import Licence
from addonkit.errors import SignatureInvalid, TokenInvalid
from addonkit.protocol import Page, Sessions, peek, sign, verify
from addonkit.protocol.json_object import _read_strictly
from addonkit.protocol.token_format import _cached_header, parse_token
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

SECRET = b"the secret of one site, long enough for HS256"
NOW = 1_800_000_000
ALPHABET = string.ascii_letters + string.digits + "-_"
HEADER = b'{"alg":"HS256","typ":"JWT"}'
CLAIMS = {"iss": "client-1", "iat": NOW, "exp": NOW + 180}
quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes, payload: bytes) -> str:
    """Sign any bytes."""
    parts = f"{base64url(header)}.{base64url(payload)}"
    return f"{parts}.{base64url(hmac.digest(SECRET, parts.encode(), hashlib.sha256))}"


def is_canonical(segment: str) -> bool:
    """Whether a segment is exactly what its bytes are encoded as: the check by encoding them again."""
    try:
        data = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        return False
    return bool(data) and urlsafe_b64encode(data).rstrip(b"=") == segment.encode("utf-8", "surrogatepass")


def accepts(token: str) -> bool:
    try:
        verify(token, SECRET, "HS256", issuer="client-1", audiences=["kit"], now=NOW)
    except TokenInvalid:
        return False
    return True


def decoded_by_pyjwt(token: str) -> dict[str, object] | None:
    """Return the claims if PyJWT's whole decoding accepts the token, with the checks of claims that it has for us."""
    options = dict.fromkeys(["verify_exp", "verify_iat", "verify_nbf", "verify_aud"], False)
    try:
        return jwt.PyJWT({"require": ["exp", "iat", "iss"], **options}).decode(token, SECRET, algorithms=["HS256"])
    except jwt.PyJWTError:
        return None


def segment_is_accepted(segment: str) -> bool:
    """Whether a segment is accepted as the signature of a token, as far as its encoding goes."""
    head, body, _ = signed(HEADER, json.dumps(CLAIMS).encode()).split(".")
    try:
        verify(f"{head}.{body}.{segment}", SECRET, "HS256", issuer="client-1", audiences=[], now=NOW)
    except SignatureInvalid:
        return True
    except TokenInvalid:
        return False
    raise AssertionError("an invented signature was accepted")


@pytest.mark.parametrize("length", range(9))
def test_segment_is_accepted_exactly_if_encoding_it_again_gives_the_same(length):
    for character in [*ALPHABET, "=", "+", "/", ".", " ", "\n", "\u0661", "\xe9", "\ud800"]:
        segment = ("AbZ0-_xy"[: length - 1] + character) if length else ""
        assert segment_is_accepted(segment) == is_canonical(segment), repr(segment)


@quick
@given(st.text(ALPHABET, max_size=12) | st.text(ALPHABET + "=+/ \n\xe9", max_size=12) | st.binary().map(base64url))
@example("AA==")
@example("AA\n")
@example("A\u0041")
@example("\uff21A")
def test_segment_of_any_text_is_accepted_exactly_if_encoding_it_again_gives_the_same(segment):
    assert segment_is_accepted(segment) == is_canonical(segment)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
claims = st.fixed_dictionaries(
    {"iss": st.sampled_from(["client-1"] * 8 + [1, None, "client-2"]), "iat": st.just(NOW), "exp": st.just(NOW + 180)},
    optional={
        "sub": st.sampled_from(["acc", "", 1, None]),
        "jti": st.sampled_from(["a", "", "\u20ac", 1, 1.5, None, True, [], {}]),
        "aud": st.sampled_from(["kit", ["kit"]]),
        "qsh": st.sampled_from(["0" * 64, "context-qsh"]),
        "context": st.dictionaries(st.text(max_size=3), st.text(max_size=3) | FLOATS, max_size=3),
        "other": st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4),
    },
)
spellings = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"separators": (",", ":"), "ensure_ascii": False},
        {"indent": 2},
        {"sort_keys": True},
    ]
)
headers = st.sampled_from(
    [
        HEADER,
        b'{"typ":"JWT","alg":"HS256"}',
        b'{"alg": "HS256"}',
        b'{"alg":"HS256","kid":"a","typ":"JWT"}',
        b'{"alg":"HS256","kid":1}',
        b'{"alg":"HS256","kid":null}',
        b'{"alg":"HS384"}',
        b'{"alg":"none"}',
        b'{"alg":["HS256"]}',
        b'{"typ":"JWT"}',
        b"[]",
    ]
)


@quick
@given(headers, claims, spellings)
def test_parser_and_pyjwt_accept_the_same_tokens_and_read_the_same_claims(header, payload, spelling):
    token = signed(header, json.dumps(payload, **spelling).encode("utf-8", "surrogatepass"))
    theirs = decoded_by_pyjwt(token)
    if theirs is not None and theirs["iss"] != "client-1":
        theirs = None  # PyJWT does not get the issuer of the key
    assert accepts(token) == (theirs is not None)
    if theirs is not None:
        assert repr(dict(parse_token(token).payload)) == repr(theirs)


@quick
@given(st.binary(max_size=60) | st.sampled_from([HEADER, b"{}", b""]), st.binary(max_size=60), st.integers(0, 200))
def test_parser_accepts_no_bytes_that_pyjwt_refuses(header, payload, cut):
    token = signed(header, payload)
    for text in (token, token[:cut], token[cut:], token + ".", f".{token}"):
        assert not accepts(text) or decoded_by_pyjwt(text) is not None


@quick
@given(st.data())
def test_changed_token_is_accepted_by_neither(data):
    token = signed(HEADER, json.dumps(CLAIMS, separators=(",", ":")).encode())
    place = data.draw(st.integers(0, len(token) - 1))
    piece = data.draw(st.sampled_from(["", ".", "=", *ALPHABET]))
    changed = token[:place] + piece + token[place + 1 :]
    if changed != token:
        assert not accepts(changed)
        assert decoded_by_pyjwt(changed) is None


AMBIGUOUS = {
    "a key twice": b'"iss":"client-1",',
    "a key twice, escaped": b'"\\u0069ss":"client-1",',
    "NaN": b'"x":NaN,',
    "an infinity": b'"x":-Infinity,',
    "501 levels": b'"x":' + b"[" * 500 + b"]" * 500 + b",",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_token_that_parsers_read_differently_is_refused_though_pyjwt_accepts_it(name):
    payload = json.dumps(CLAIMS, separators=(",", ":")).encode().replace(b"{", b"{" + AMBIGUOUS[name], 1)
    assert decoded_by_pyjwt(signed(HEADER, payload)) is not None
    assert not accepts(signed(HEADER, payload))


def test_parser_keeps_few_and_short_headers_only():
    _cached_header.cache_clear()
    long = b'{"alg":"HS256","kid":"' + b"k" * 300 + b'"}'
    for header in (HEADER, long):
        assert accepts(signed(header, json.dumps(CLAIMS).encode()))
    assert _cached_header.cache_info().currsize == 1
    for number in range(200):
        peek(signed(b'{"alg":"HS256","kid":"%d"}' % number, json.dumps(CLAIMS).encode()))
    assert _cached_header.cache_info().currsize == _cached_header.cache_info().maxsize


@pytest.mark.parametrize(("length", "kept"), [(190, 1), (192, 1), (193, 0), (6000, 0)])
def test_parser_keeps_headers_of_at_most_256_characters(length, kept):
    _cached_header.cache_clear()
    header = b'{"alg":"HS256","kid":"' + b"k" * (length - 24) + b'"}'
    assert len(header) == length  # 192 bytes are 256 characters of base64url
    assert accepts(signed(header, json.dumps(CLAIMS).encode()))
    assert _cached_header.cache_info().currsize == kept


def test_parsed_token_cannot_be_changed_by_its_readers():
    parsed = parse_token(signed(HEADER, json.dumps(CLAIMS | {"context": {"user": "a"}}).encode()))
    for part in (parsed.header, parsed.payload):
        with pytest.raises(TypeError):
            part["iss"] = "client-2"


def test_session_read_twice_has_objects_of_its_own():
    sessions = Sessions([("k", bytes(32))], "kit")
    token = sessions.mint(Page("client-1", None, "panel", {"issue_key": "AB-1"}, Licence.ACTIVE), now=NOW)
    first, second = (sessions.read(token, now=NOW).objects for _ in range(2))
    with pytest.raises(TypeError):
        first["issue_key"] = "AB-2"
    inner = parse_token(token).payload["context"]["objects"]
    inner["issue_key"] = "AB-3"
    assert (first["issue_key"], second["issue_key"]) == ("AB-1", "AB-1")
    parse_token.cache_clear()


# signing

values = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@quick
@given(st.dictionaries(st.text(max_size=5).filter(lambda name: name not in ("iss", "iat", "exp", "nbf")), values))
@example({"x": "\ud83d"})
@example({"x": 2**64})
@example({"x": -(2**63) - 1})
@example({"x": 1e400})
@example({"\u20ac": "\u20ac\U0001f600\x7f\u2028"})
def test_signed_claims_are_read_by_pyjwt_as_they_were(more):
    token = sign(CLAIMS | more, SECRET)
    options = {"verify_exp": False, "verify_iat": False, "verify_aud": False, "verify_sub": False, "verify_jti": False}
    read = jwt.decode(token, SECRET, ["HS256"], options)
    assert _without_infinity(read) == _without_infinity(CLAIMS | more)


def _without_infinity(claims):
    return {name: value for name, value in claims.items() if value not in (float("inf"), None)}


@pytest.mark.parametrize(
    "header",
    [
        None,
        {},
        {"typ": "addonkit-session", "kid": "a"},
        {"kid": "with \u20ac and \U0001f600"},
        {"typ": ""},
        {"kid": "k" * 300},
    ],
)
def test_signed_token_is_the_one_that_pyjwt_makes(header):
    for claims in (CLAIMS, CLAIMS | {"context": {"a": [1, 2.5, None, True]}, "aud": ["kit"]}):
        assert sign(claims, SECRET, header=header) == jwt.encode(claims, SECRET, "HS256", headers=dict(header or {}))


def test_signed_payload_is_strictly_readable():
    body = sign(CLAIMS | {"sub": "\u00e9"}, SECRET).split(".")[1]
    assert _read_strictly(urlsafe_b64decode(body + "=="), "strict") == CLAIMS | {"sub": "\u00e9"}
