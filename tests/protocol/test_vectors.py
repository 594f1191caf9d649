"""Published vectors: what the host and other libraries really computed. Sources: vectors/README.md."""

import json
import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from addonkit.errors import PayloadInvalid, TokenInvalid
from addonkit.protocol import canonical_request, path_of, peek, query_hash, query_matches, read_payload, verify

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests/vectors"
DURING = 1466731100
"""A time at which the signed URLs were valid."""


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def ids(case: dict[str, Any]) -> str:
    return case.get("name") or case.get("url", "")


SIGNED = load("atlassian-signed-urls")
JAVASCRIPT = load("qsh-atlassian-jwt-js")
MIXED = load("qsh-mixed")


def parts(url: str) -> tuple[str, str]:
    """Path and query as sent; the sources use no fragments."""
    rest = url.split("://", 1)[1].partition("/")[2]
    path, _, query = f"/{rest}".partition("?")
    return path, query


@pytest.mark.parametrize("case", SIGNED["tests"], ids=ids)
def test_url_that_the_host_signed_has_its_canonical_request(case):
    path, query = parts(case["signedUrl"])
    assert canonical_request("GET", path, query) == case["canonicalUrl"]


@pytest.mark.parametrize("case", SIGNED["tests"], ids=ids)
def test_url_that_the_host_signed_is_verified(case):
    path, query = parts(case["signedUrl"])
    token = query.rpartition("jwt=")[2]
    secret = SIGNED["secret"].encode()
    claims = verify(token, secret, "HS256", issuer=peek(token).issuer, audiences=[], now=DURING)
    assert query_matches(claims.qsh or "", "GET", path, query)


@pytest.mark.parametrize("case", JAVASCRIPT["tests"], ids=ids)
def test_hash_of_the_javascript_library_matches(case):
    base_url = case["base_url"]
    base_path = path_of(base_url) if "://" in base_url else base_url
    form = case["form_body"] if case.get("check_body") else ""
    assert query_matches(case["qsh"], case["method"], case["path"], case["query"], base_path, form)
    source = form or case["query"]
    assert canonical_request(case["method"], case["path"], source, base_path) == case["canonical"]


def test_ampersand_in_the_path_hashes_unlike_one_in_the_query():
    hashes = {query_hash(method, *parts(f"x://host{url}")) for method, url in JAVASCRIPT["must_differ"]}
    assert len(hashes) == 2


@pytest.mark.parametrize("case", load("qsh-go-rbriski")["tests"], ids=ids)
def test_hash_of_the_go_library_matches(case):
    assert query_hash(case["method"], *parts(case["url"])) == case["qsh"]


@pytest.mark.parametrize("case", MIXED["tests"], ids=ids)
def test_hash_from_the_documentation_matches(case):
    path, query = parts(case["url"])
    assert canonical_request(case["method"], path, query, case["context_path"]) == case["canonical"]
    assert query_hash(case["method"], path, query, case["context_path"]) == case["qsh"]


@pytest.mark.parametrize("order", ["raw_key_order", "encoded_key_order"])
def test_orders_of_names_that_sources_dispute_are_both_accepted(order):
    case = MIXED["disputed"][0]
    claimed = sha256(case[order].encode()).hexdigest()
    assert query_matches(claimed, "GET", *parts(case["url"]))


def test_signing_sorts_names_in_encoded_order():
    case = MIXED["disputed"][0]
    assert canonical_request("GET", *parts(case["url"])) == case["encoded_key_order"]


def test_vectors_are_complete():
    assert len(SIGNED["tests"]) == 78
    tests = [load(name)["tests"] for name in ("qsh-atlassian-jwt-js", "qsh-go-rbriski", "qsh-mixed")]
    assert sum(map(len, tests), 78) == 119


@pytest.mark.parametrize("case", load("tokens-to-refuse")["tokens"], ids=lambda case: case["alg"])
def test_sample_token_of_another_algorithm_is_refused(case):
    with pytest.raises(TokenInvalid):
        peek(case["token"])
    with pytest.raises(TokenInvalid):
        verify(case["token"], b"s" * 32, "HS256", issuer="", audiences=[], now=1516239022)


PAYLOADS = {name: body for name, body in load("lifecycle-payloads").items() if name != "_note"}


@pytest.mark.parametrize("name", PAYLOADS)
def test_documented_lifecycle_payload_is_read(name):
    body = PAYLOADS[name]
    if "sharedSecret" in body:
        body = body | {"sharedSecret": "a-secret-of-today-which-is-longer-than-that"}
    payload = read_payload(json.dumps(body).encode(), body["eventType"])
    assert payload.client_key == "unique-client-identifier"
    assert urlsplit(payload.base_url).hostname == "example.atlassian.net"


def test_documented_secret_is_too_short_for_today():
    with pytest.raises(PayloadInvalid, match="'sharedSecret' has 27 bytes"):
        read_payload(json.dumps(PAYLOADS["installed"]).encode(), "installed")


FILES = sorted(path.name for path in VECTORS.iterdir() if path.name != "README.md")


@cache
def quoted_in_tests():
    """The texts in quotes in this project's tests, among them the names of the files that they read."""
    sources = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/*.py")]
    return {text for source in sources for text in re.findall(r'"([^"\n]+)"', source.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", FILES)
def test_vector_file_is_read_by_a_test(name):
    assert {name, name.partition(".")[0], f"vectors/{name}"} & quoted_in_tests(), f"no test reads {name}"


@pytest.mark.parametrize("name", FILES)
def test_vector_file_is_described_with_its_source(name):
    assert f"| `{name}` |" in (VECTORS / "README.md").read_text(encoding="utf-8")
