"""Lifecycle bodies: well signed is not yet usable."""

import json

import pytest
from addonkit.errors import PayloadInvalid, PayloadTooLarge
from addonkit.protocol import read_payload
from addonkit.text import well_formed
from pydantic import ValidationError

SECRET = "ATCO-a-secret-of-an-installation-000000"
BODY = {
    "key": "com.example.kit",
    "clientKey": "client-1",
    "productType": "jira",
    "baseUrl": "https://x.atlassian.net",
    "eventType": "installed",
    "sharedSecret": SECRET,
}


def read(event: str = "installed", **changes):
    return read_payload(json.dumps(BODY | changes).encode(), event)


def test_body_is_read_by_the_hosts_names():
    payload = read(oauthClientId="o", installationId="i", displayUrl="https://d")
    assert (payload.client_key, payload.product_type, payload.shared_secret) == ("client-1", "jira", SECRET)
    assert (payload.oauth_client_id, payload.installation_id) == ("o", "i")
    assert payload.display_url == "https://d"


def test_unknown_fields_are_ignored():
    assert read(publicKey="x", somethingNew={"deep": [1]}).client_key == "client-1"


@pytest.mark.parametrize("field", ["cloudId", "description", "serviceEntitlementNumber", "entitlementId"])
@pytest.mark.parametrize("value", [None, 1, ["x"], {"a": 1}, "x" * 5000, "a\0b", "\ud800"])
def test_field_that_nothing_reads_may_hold_anything(field, value):
    assert read(**{field: value}).client_key == "client-1"


@pytest.mark.parametrize("field", ["key", "clientKey", "productType", "baseUrl", "eventType"])
@pytest.mark.parametrize("value", [None, "", 1, True, ["x"], {"a": 1}, "x" * 256, "a\0b"])
def test_required_field_that_is_unusable_is_named(field, value):
    with pytest.raises(PayloadInvalid, match=f"'{field}'"):
        read(**{field: value})


@pytest.mark.parametrize(("field", "attribute"), [("key", "key"), ("clientKey", "client_key"), ("baseUrl", "base_url")])
@pytest.mark.parametrize("value", ["x", "x" * 255, "é" * 255], ids=["one", "longest", "longest in two bytes each"])
def test_required_field_of_1_to_255_characters_is_read(field, attribute, value):
    assert getattr(read(**{field: value}), attribute) == value


@pytest.mark.parametrize(
    ("field", "attribute"),
    [("displayUrl", "display_url"), ("oauthClientId", "oauth_client_id"), ("installationId", "installation_id")],
)
def test_optional_field_has_at_most_255_characters(field, attribute):
    for value in ("", "x" * 255):
        assert getattr(read(**{field: value}), attribute) == value
    with pytest.raises(PayloadInvalid, match=f"'{field}'"):
        read(**{field: "x" * 256})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("https://help.x", "https://help.x"), ("", ""), (None, None), (1, None), (["https://x"], None), ({}, None)],
)
def test_help_centers_url_is_text_or_ignored(value, expected):
    assert read(displayUrlServicedeskHelpCenter=value).display_url_servicedesk_help_center == expected


def test_payload_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        read().client_key = "client-2"


@pytest.mark.parametrize("field", ["key", "clientKey", "productType", "baseUrl", "eventType"])
def test_missing_field_is_named(field):
    body = {name: value for name, value in BODY.items() if name != field}
    with pytest.raises(PayloadInvalid, match=f"'{field}'"):
        read_payload(json.dumps(body).encode(), "installed")


def test_field_name_in_snake_case_is_not_read():
    body = {name: value for name, value in BODY.items() if name != "clientKey"} | {"client_key": "client-2"}
    with pytest.raises(PayloadInvalid, match="'clientKey'"):
        read_payload(json.dumps(body).encode(), "installed")


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("displayUrl", "display_url"),
        ("oauthClientId", "oauth_client_id"),
        ("installationId", "installation_id"),
        ("baseUrl", "base_url"),
    ],
)
@pytest.mark.parametrize("value", [r"x\ud800", r"\udc00\ud800", r"\uD83Dx\ud83d\ude00"], ids=["end", "order", "pair"])
def test_surrogate_half_becomes_the_replacement_character(field, attribute, value):
    body = json.dumps({**BODY, field: "HERE"}).replace("HERE", value).encode()
    found = getattr(read_payload(body, "installed"), attribute)
    found.encode()
    assert found == well_formed(json.loads(f'"{value}"'))


@pytest.mark.parametrize("value", [b"\\ud83d", b"\xed\xa0\xbd"], ids=["escaped", "bytes"])
def test_surrogate_half_in_a_field_that_is_not_read_is_ignored(value):
    body = json.dumps({**BODY, "description": "HERE"}).encode().replace(b"HERE", value)
    assert read_payload(body, "installed") == read()


def test_surrogate_half_in_a_name_or_secret_is_refused():
    with pytest.raises(PayloadInvalid, match="'clientKey'"):
        read(clientKey="\ud800")
    with pytest.raises(PayloadInvalid, match="'sharedSecret'"):
        read(sharedSecret="\ud800" * 40)


def test_product_that_is_unknown_is_refused():
    with pytest.raises(PayloadInvalid, match="'productType'"):
        read(productType="bamboo")


def test_body_of_another_event_is_refused():
    with pytest.raises(PayloadInvalid, match="is 'installed' in a request for 'enabled'"):
        read("enabled")


@pytest.mark.parametrize("secret", ["x" * 31, "x" * 513, "", "é" * 15, "é" * 257])
def test_secret_outside_of_32_to_512_bytes_is_refused(secret):
    with pytest.raises(PayloadInvalid, match="'sharedSecret'"):
        read(sharedSecret=secret)


@pytest.mark.parametrize("secret", ["x" * 32, "x" * 400, "x" * 512, "é" * 16])
def test_secret_of_32_to_512_bytes_is_accepted(secret):
    assert read(sharedSecret=secret).shared_secret == secret


def test_installation_without_secret_is_refused_and_other_events_need_none():
    with pytest.raises(PayloadInvalid, match="'sharedSecret' has 0 bytes"):
        read(sharedSecret=None)
    assert read("enabled", eventType="enabled", sharedSecret=None).shared_secret is None


def test_secret_is_neither_shown_nor_repeated():
    assert SECRET not in repr(read())
    with pytest.raises(PayloadInvalid) as refusal:
        read(sharedSecret="short-secret")
    assert "short-secret" not in str(refusal.value)
    with pytest.raises(PayloadInvalid) as refusal:
        read(sharedSecret=["a-secret-in-a-list"])
    assert "a-secret-in-a-list" not in str(refusal.value)
    # Programs that report errors show the context of an exception, even if a traceback does not.
    assert "a-secret-in-a-list" not in str(refusal.value.__context__)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b'{"key": NaN}', b"[" * 60_000, b'{"a":' * 9_000])
def test_body_that_is_not_a_json_object_is_refused(body):
    with pytest.raises(PayloadInvalid, match="'installed' body is unusable"):
        read_payload(body, "installed")


def test_client_key_that_is_named_twice_is_refused():
    twice = json.dumps(BODY).replace('"clientKey"', '"clientKey": "client-2", "clientKey"', 1)
    with pytest.raises(PayloadInvalid, match="twice"):
        read_payload(twice.encode(), "installed")


def test_body_of_64_kilobytes_is_read_and_one_byte_more_is_refused():
    body = json.dumps(BODY).encode()
    assert read_payload(body.ljust(65_536), "installed").client_key == "client-1"
    with pytest.raises(PayloadTooLarge, match="65536"):
        read_payload(body.ljust(65_537), "installed")


def test_body_above_the_limit_is_refused_before_it_is_parsed():
    with pytest.raises(PayloadTooLarge, match="65536"):
        read_payload(b"[" * 10_000_000, "installed")
