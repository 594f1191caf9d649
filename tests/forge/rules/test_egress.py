"""Addresses that pages of the app may load."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.forge_findings import found, places
from tests.support.forge_variants import EXTERNAL, put


@pytest.mark.parametrize("kind", ["fonts", "frames", "images", "media", "navigation", "scripts", "styles"])
@pytest.mark.parametrize(
    ("entry", "pointer"),
    [
        ("https://kit.example.com", ""),
        ({"remote": "connect"}, ""),
        ({"address": "http://kit.example.com"}, "/address"),
        ({"address": "kit"}, "/address"),
        ({"adress": "https://kit.example.com"}, ""),
        ({"address": "https://kit.example.com", "category": "ads"}, "/category"),
        ({"address": "https://kit.example.com", "inScopeEUD": "no"}, "/inScopeEUD"),
        (3, ""),
    ],
    ids=["text", "remote", "http", "one word", "misspelt", "category", "flag", "number"],
)
def test_egress_of_another_form_is_an_error(kind: str, entry: Any, pointer: str):
    assert ("error", f"/permissions/external/{kind}/0{pointer}") in places(put(EXTERNAL, {kind: [entry]}))


@pytest.mark.parametrize(
    "address",
    [
        "https://kit.example.com",
        "*.example.com",
        "kit.example.com/a?b=1",
        "wss://kit.example.com",
        "https://a.b:8443",
        "slack://open",
        "mailto:a",
        "ari:cloud:x",
        "ws://kit",
        "münchen.example",
        "https://kit.example.com/é",
        "https://kit.example.com.",
    ],
)
def test_egress_of_an_address_is_accepted(address: str):
    assert found(put(EXTERNAL, {"images": [{"address": address}], "fetch": {"backend": [{"address": address}]}})) == []


@pytest.mark.parametrize(
    "address",
    [
        "javascript://kit.example.com",
        "data:text/html,x",
        "file:///etc",
        "smb://kit",
        "view-source:x",
        "http://a.example",
    ],
)
def test_egress_of_a_refused_scheme_is_an_error(address: str):
    places_of = places(put(EXTERNAL, {"images": [{"address": address}]}))
    assert places_of == [("error", "/permissions/external/images/0/address")]


@pytest.mark.parametrize("kind", ["frames", "images", "fetch"])
def test_egress_as_a_text_has_the_entry_to_write_in_its_place(kind: str):
    entries: Any = ["https://kit.example.com"]
    findings = found(put(EXTERNAL, {kind: {"client": entries} if kind == "fetch" else entries}))
    assert [message.partition("write ")[2] for _, _, message in findings] == ["'- address: https://kit.example.com'"]
