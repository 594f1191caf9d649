"""Refusals, which edge and application build with one function."""

import json

import pytest
from addonkit.edge.refusals import refusal_of


def test_refusal_for_a_program_is_json_with_the_request_id():
    refusal = refusal_of(404, "id-1", as_json=True)
    assert json.loads(refusal.body) == {"error": "Not Found", "status": 404, "request_id": "id-1"}
    assert dict(refusal.headers)[b"content-type"] == b"application/json"


def test_refusal_for_a_browser_is_a_page_without_the_detail():
    refusal = refusal_of(422, "id-1", as_json=False, detail="'key' is missing")
    assert b"422 Unprocessable" in refusal.body
    assert b"id-1" in refusal.body
    assert b"missing" not in refusal.body


def test_refusal_detail_replaces_the_phrase_for_programs():
    assert json.loads(refusal_of(422, "id-1", as_json=True, detail="'key' is missing").body)["error"] == (
        "'key' is missing"
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_refusal_is_not_cached_and_has_the_request_id_header(as_json):
    headers = dict(refusal_of(500, "id-1", as_json=as_json).headers)
    assert (headers[b"cache-control"], headers[b"x-request-id"]) == (b"no-store", b"id-1")
    assert headers.keys().isdisjoint({b"retry-after", b"allow"})


def test_refusal_has_retry_after_and_allow_only_if_given():
    headers = dict(refusal_of(503, "id-1", as_json=True, retry_after_s=7, allow="GET").headers)
    assert (headers[b"retry-after"], headers[b"allow"]) == (b"7", b"GET")
