"""Authentication of forms whose fields the host includes in the query hash instead of the query."""

import pytest
from addonkit.protocol.canonical import query_hash

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = "application/x-www-form-urlencoded"
DRAWN = "/under_test/drawn"


def signed(wire, form, method="POST"):
    """Return the Authorization header for a request whose form was hashed."""
    return f"JWT {wire.token(method, DRAWN, qsh=query_hash(method, DRAWN, form))}"


async def test_form_is_verified_like_a_query(wire):
    form = "macro_id=m1&lic=active&text=a+b"
    answer = await wire.send(signed(wire, form), "POST", DRAWN, form.encode(), FORM)
    found = answer.json()
    assert (found["objects"], found["licence"]) == ({"macro_id": "m1"}, "active")


async def test_form_reaches_the_handler_after_verification(wire):
    form = "macro_id=m1&text=a+b"
    answer = await wire.send(signed(wire, form), "POST", DRAWN, form.encode(), f"{FORM}; charset=UTF-8")
    assert answer.json()["form"] == {"macro_id": "m1", "text": "a b"}


async def test_form_in_several_chunks_is_read_whole(wire):
    headers = [("authorization", signed(wire, "macro_id=m1&text=x")), ("content-type", FORM)]
    answer = await wire.ask("POST", DRAWN, headers, [b"macro_id=m", b"1&text=x"])
    assert (answer.json()["objects"], answer.json()["form"]["text"]) == ({"macro_id": "m1"}, "x")


async def test_form_sets_no_object_if_the_empty_query_was_signed(wire):
    header = f"JWT {wire.token('POST', DRAWN)}"
    answer = await wire.send(header, "POST", DRAWN, b"macro_id=m1&lic=active", FORM)
    assert (answer.json()["objects"], answer.json()["licence"]) == ({}, "unknown")
    assert answer.json()["form"]["macro_id"] == "m1"


async def test_form_that_was_changed_is_refused(wire):
    assert (await wire.send(signed(wire, "macro_id=m1"), "POST", DRAWN, b"macro_id=m2", FORM)).status == 401


async def test_form_with_an_additional_field_is_refused(wire):
    assert (await wire.send(signed(wire, "macro_id=m1"), "POST", DRAWN, b"macro_id=m1&lic=active", FORM)).status == 401


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
async def test_form_needs_the_content_type_of_a_form(wire, kind):
    assert (await wire.send(signed(wire, "macro_id=m1"), "POST", DRAWN, b"macro_id=m1", kind)).status == 401


async def test_form_is_ignored_if_there_is_a_query(wire):
    answer = await wire.send(signed(wire, "macro_id=m1"), "POST", f"{DRAWN}?x=1", b"macro_id=m1", FORM)
    assert answer.status == 401


async def test_form_is_ignored_if_the_token_is_in_the_query(wire):
    token = signed(wire, "macro_id=m1").removeprefix("JWT ")
    answer = await wire.ask("POST", f"{DRAWN}?jwt={token}", [("content-type", FORM)], b"macro_id=m1")
    assert answer.status == 401


async def test_form_with_a_second_token_is_refused(wire):
    header = signed(wire, "macro_id=m1")
    token = header.removeprefix("JWT ")
    assert (await wire.send(header, "POST", DRAWN, f"macro_id=m1&jwt={token}".encode(), FORM)).status == 401


async def test_form_of_a_get_request_is_ignored(wire):
    header = signed(wire, "issue_key=AB-1", "GET")
    assert (await wire.send(header, "GET", "/under_test/page", b"issue_key=AB-1", FORM)).status == 401


async def test_form_over_the_size_limit_is_refused(wire):
    form = "text=" + "x" * 70_000
    header = f"JWT {wire.token('POST', DRAWN, qsh='0' * 64)}"
    assert (await wire.send(header, "POST", DRAWN, form.encode(), FORM)).status == 413


@pytest.mark.parametrize(("size", "status"), [(65_535, 200), (65_536, 200), (65_537, 413)])
async def test_form_has_an_exact_size_limit(wire, size, status):
    form = "macro_id=m1&text=".ljust(size, "x")
    # The query hash of a form that is too large cannot be signed.
    header = signed(wire, form) if status == 200 else signed(wire, "macro_id=m1")
    assert (await wire.send(header, "POST", DRAWN, form.encode(), FORM)).status == status


async def test_form_with_a_thousand_fields_is_refused(wire):
    form = "&".join(f"a{number}=1" for number in range(1500))
    header = f"JWT {wire.token('POST', DRAWN, qsh='0' * 64)}"
    assert (await wire.send(header, "POST", DRAWN, form.encode(), FORM)).status == 401


async def test_form_that_is_not_utf_8_is_refused(wire):
    header = f"JWT {wire.token('POST', DRAWN, qsh='0' * 64)}"
    assert (await wire.send(header, "POST", DRAWN, b"a=\xff", FORM)).status == 401


async def test_form_is_not_accepted_as_a_lifecycle_body(wire):
    form = "key=com.example.test"
    claims = wire.claims("POST", "/lifecycle/installed", aud=wire.host.base_url)
    token = wire.host.keys.sign({**claims, "qsh": query_hash("POST", "/lifecycle/installed", form)})
    answer = await wire.send(f"JWT {token}", "POST", "/lifecycle/installed", form.encode(), FORM)
    assert answer.status == 401
