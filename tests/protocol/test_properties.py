"""What holds for any request and any token: found by search, a few seconds in all."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import jwt
import pytest
from addonkit.errors import TokenInvalid
from addonkit.protocol import peek, query_hash, query_matches, sign, verify
from addonkit.protocol.canonical import query_fields
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

SECRET = b"the secret of one site, long enough for HS256"
NOW = 1_800_000_000
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
segments = st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6), min_size=1, max_size=4)
pairs = st.lists(st.tuples(words.filter(lambda name: name != "jwt"), words), max_size=6)
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE"])


def spell(parameters: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters)


def spell_plus(parameters: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in parameters)


def path_of_segments(parts: list[str]) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def grouped(parameters: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: sorted(v for n, v in parameters if n == name) for name, _ in parameters}


def signed_for(method: str, path: str, query: str) -> str:
    claims = {"iss": "client-1", "iat": NOW, "exp": NOW + 180, "qsh": query_hash(method, path, query)}
    return sign(claims, SECRET)


@quick
@given(methods, segments, pairs, st.randoms(use_true_random=False))
def test_query_hash_is_verified_in_any_order_and_spelling(method, parts, parameters, random):
    path = path_of_segments(parts)
    token = signed_for(method, path, spell(parameters))
    claims = verify(token, SECRET, "HS256", issuer="client-1", audiences=[], now=NOW)
    shuffled = random.sample(parameters, len(parameters))
    assert query_matches(claims.qsh or "", method, f"/base{path}", f"{spell_plus(shuffled)}&jwt={token}", "/base")


@quick
@given(methods, methods, segments, pairs)
def test_changed_method_is_refused(method, other, parts, parameters):
    assume(method != other)
    signed = query_hash(method, path_of_segments(parts), spell(parameters))
    assert not query_matches(signed, other, path_of_segments(parts), spell(parameters))


@quick
@given(segments, segments, pairs)
@example(["a", "b"], ["a/b"], [])
@example(["a&b"], ["a"], [("b", "")])
@example(["%2F"], ["%252F"], [])
def test_changed_path_is_refused(parts, others, parameters):
    assume(parts != others)
    signed = query_hash("GET", path_of_segments(parts), spell(parameters))
    assert not query_matches(signed, "GET", path_of_segments(others), spell(parameters))


@quick
@given(segments, pairs, pairs)
@example(["x"], [("a", "1,2")], [("a", "1"), ("a", "2")])
@example(["x"], [("a", "1"), ("b", "2")], [("a", "1&b=2")])
@example(["x"], [("a", "")], [("a", ""), ("a", "")])
def test_changed_query_is_refused(parts, parameters, others):
    assume(grouped(parameters) != grouped(others))
    path = path_of_segments(parts)
    assert not query_matches(query_hash("GET", path, spell(parameters)), "GET", path, spell(others))


@quick
@given(st.sampled_from(["iss", "iat", "exp", "qsh", "sub", "aud", "context"]), st.integers(0, 10**6))
def test_changed_claim_is_refused(name, salt):
    claims = {"iss": "client-1", "iat": NOW, "exp": NOW + 180, "qsh": "0" * 64, "sub": "a", "aud": "kit", "context": {}}
    other = {"iat": NOW - 1 - salt % 60, "exp": NOW + 181 + salt, "context": {"user": salt}}.get(name, f"kit{salt}")
    head, _, signature = sign(claims, SECRET).split(".")
    changed = sign(claims | {name: other}, SECRET).split(".")[1]
    with pytest.raises(TokenInvalid):
        verify(f"{head}.{changed}.{signature}", SECRET, "HS256", issuer="client-1", audiences=["kit"], now=NOW)


@quick
@given(st.integers(0, 10**6), st.characters(codec="ascii"))
def test_token_with_one_character_changed_is_refused(position, letter):
    token = signed_for("GET", "/", "")
    position %= len(token)
    assume(token[position] != letter)
    with pytest.raises(TokenInvalid):
        verify(
            token[:position] + letter + token[position + 1 :],
            SECRET,
            "HS256",
            issuer="client-1",
            audiences=[],
            now=NOW,
        )


@quick
@given(st.binary(min_size=32, max_size=64))
def test_secret_of_another_site_is_refused(secret):
    assume(secret != SECRET)
    with pytest.raises(TokenInvalid):
        verify(signed_for("GET", "/", ""), secret, "HS256", issuer="client-1", audiences=[], now=NOW)


@quick
@given(st.sampled_from(["none", "HS384", "HS512", "RS256", "ES256", "PS256", "hs256", ""]))
def test_algorithm_other_than_expected_is_refused(algorithm):
    token = forge({"alg": algorithm}, {"iss": "client-1", "iat": NOW, "exp": NOW + 9})
    with pytest.raises(TokenInvalid):
        verify(token, SECRET, "HS256", issuer="client-1", audiences=[], now=NOW)


@quick
@given(st.text(max_size=60) | st.text("AbcXYZ019-_.=", max_size=60))
def test_token_from_any_text_is_read_or_refused(text):
    with pytest.raises(TokenInvalid):
        peek(text)


@quick
@given(st.text(st.characters(max_codepoint=255), max_size=40), st.text(st.characters(max_codepoint=255), max_size=40))
def test_query_hash_of_any_request_is_computed_or_refused(path, query):
    try:
        signed = query_hash("GET", path, query)
    except TokenInvalid:
        return
    assert query_matches(signed, "GET", path, query)


raw_queries = st.text("abc=&+%;41C3A9EDBD/?# \xc3\xa9\xff", max_size=30) | st.lists(
    st.tuples(st.sampled_from(["issue_key", "lic", "jwt", "%6Awt", "a+b", ""]), words.map(quote)), max_size=5
).map(lambda parts: "&".join("=".join(part) for part in parts))


@settings(quick, max_examples=200)
@given(raw_queries)
@example("a=1&a=2&&b&=c&d==e")
@example("jwt=x&%6Awt=y&jwt&a=1")
@example("a=%ED%A0%BD%ED%B8%80")
@example("\xc3%A9=%C3\xa9")
def test_fields_of_a_query_are_those_that_its_hash_is_of(raw):
    try:
        query_hash("GET", "/", raw)
    except TokenInvalid:
        return
    fields = query_fields(raw)
    spelled = "&".join(
        f"{quote(name, errors='surrogatepass')}={quote(value, errors='surrogatepass')}" for name, value in fields
    )
    assert query_hash("GET", "/", spelled) == query_hash("GET", "/", raw)
    try:
        text = raw.encode("latin-1").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return
    parsed = parse_qsl(text, keep_blank_values=True, errors="surrogatepass")
    assert fields == [(name, value) for name, value in parsed if name != "jwt"]


# our verifier and PyJWT's

START = int(time.time())
"""Claims keep a wide distance from each limit: two clocks are read, and this one at the beginning of all tests."""
LATER = START + 3000

STRICTER: dict[str, Callable[[dict[str, Any]], bool]] = {
    "a time is a whole number, neither negative nor bool, text or float": lambda token: any(
        type(token.get(name, 0)) is not int or not 0 <= token.get(name, 0) < 2**53 for name in ("iat", "exp", "nbf")
    ),
    "'exp' is after 'iat', by an hour at most": lambda token: not 0 < int(token["exp"]) - int(token["iat"]) <= 3600,
    "each audience is ours": lambda token: token.get("aud", "kit") not in ("kit", ["kit"], ["kit", "kit"]),
    "'sub' has 128 characters at most": lambda token: len(token.get("sub", "")) > 128,
    "'qsh' is text": lambda token: not isinstance(token.get("qsh", ""), str),
    "'context' is an object": lambda token: not isinstance(token.get("context", {}), dict),
    "'typ' is JWT": lambda token: token.get("typ", "JWT").upper() != "JWT",
    "nothing is nested, critical or left raw": lambda token: bool({"cty", "crit", "b64"} & token.keys()),
}
"""All that we refuse and PyJWT takes, besides duplicate keys, NaN and padding, which are tested by name."""


EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = dict(
    zip(
        STRICTER,
        [
            ({}, {"exp": str(LATER)}),
            ({}, {"exp": START + 3601}),
            ({}, {"aud": ["kit", "other"]}),
            ({}, {"sub": "x" * 129}),
            ({}, {"qsh": 1}),
            ({}, {"context": "x"}),
            ({"typ": "addonkit-session"}, {}),
            ({"cty": "JWT"}, {}),
        ],
        strict=True,
    )
)


def forge(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    mac = hmac.digest(SECRET, ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, urlsafe_b64encode(mac).rstrip(b"=").decode()])


def taken_by_us(token: str) -> bool:
    try:
        verify(token, SECRET, "HS256", issuer="client-1", audiences=["kit"])
    except TokenInvalid:
        return False
    return True


def taken_by_pyjwt(token: str, claims: dict[str, Any]) -> bool:
    options: Any = {"require": ["exp", "iat", "iss"], "verify_aud": "aud" in claims}
    try:
        jwt.decode(token, SECRET, ["HS256"], options, audience=["kit"], issuer="client-1", leeway=30)
    except jwt.PyJWTError:
        return False
    return True


times = st.sampled_from([START - 1000, LATER, START + 9000, -1, 0, 2**60])
odd_times = times | times.map(str) | times.map(float) | st.sampled_from([True, None, "x", [1]])
tokens = st.tuples(
    st.fixed_dictionaries(
        {"alg": st.sampled_from(["HS256"] * 6 + ["none", "RS256"])},
        optional={
            "typ": st.sampled_from(["JWT", "jwt", "x"]),
            "kid": st.sampled_from(["a", 1]),
            "cty": st.just("JWT"),
            "crit": st.just(["b64"]),
            "b64": st.just(True),
        },
    ),
    st.fixed_dictionaries(
        {
            "iss": st.sampled_from(["client-1"] * 6 + ["client-2", 1]),
            "iat": st.just(START - 15) | st.just(START) | odd_times,
            "exp": st.just(LATER) | odd_times,
        },
        optional={
            "nbf": st.just(START) | odd_times,
            "aud": st.sampled_from(["kit", ["kit"], ["kit", "kit"], "x", ["kit", "x"], [], 1, [1]]),
            "sub": st.sampled_from(["acc", "", "x" * 129, 1]),
            "qsh": st.sampled_from(["0" * 64, 1]),
            "context": st.sampled_from([{}, "x"]),
            "jti": st.sampled_from(["a", "", 1, None, ["a"], {}, True]),
        },
    ),
)


@settings(quick, max_examples=300)
@given(tokens)
def test_verifier_agrees_with_pyjwt_except_where_it_is_stricter(parts):
    header, claims = parts
    token = forge(header, claims)
    expected = taken_by_pyjwt(token, claims) and not any(refuses(header | claims) for refuses in STRICTER.values())
    assert taken_by_us(token) == expected


@pytest.mark.parametrize("name", STRICTER)
def test_verifier_strictness_is_not_pyjwts(name):
    header, claims = EXAMPLES[name]
    header = {"alg": "HS256"} | header
    claims = {"iss": "client-1", "iat": START, "exp": LATER} | claims
    assert STRICTER[name](header | claims)
    assert taken_by_pyjwt(forge(header, claims), claims)
    assert not taken_by_us(forge(header, claims))
