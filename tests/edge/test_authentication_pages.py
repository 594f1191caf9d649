"""Authentication of module pages: only requests that an installed site signed, exactly as signed."""

import time

import jwt
import pytest

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_page_with_a_valid_token_is_served(wire):
    answer = await wire.open(PAGE)
    assert answer.status == 200
    assert f"AB-1 for acc-1 on {wire.site.client_key}" in answer.text


async def test_page_without_a_token_is_refused(wire):
    assert (await wire.ask("GET", PAGE)).status == 401


async def test_page_with_the_token_in_the_header_is_served(wire):
    assert (await wire.send(f"JWT {wire.token('GET', PAGE)}", "GET", PAGE)).status == 200


async def test_page_with_a_changed_query_is_refused(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/under_test/page?issue_key=AB-2&jwt={token}")).status == 401


async def test_page_with_an_additional_parameter_is_refused(wire):
    assert (await wire.ask("GET", f"{PAGE}&lic=active&jwt={wire.token('GET', PAGE)}")).status == 401


async def test_page_with_a_removed_parameter_is_refused(wire):
    token = wire.token("GET", f"{PAGE}&lic=none")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_page_with_an_added_second_licence_is_refused(wire):
    token = wire.token("GET", "/under_test/overview?lic=none")
    assert (await wire.ask("GET", f"/under_test/overview?lic=none&lic=active&jwt={token}")).status == 401


async def test_licence_is_unknown_if_two_values_are_signed(wire):
    answer = await wire.open("/under_test/overview?lic=none&lic=active")
    assert answer.text == "overview unknown None"


async def test_host_object_is_absent_if_two_values_are_signed(wire):
    assert (await wire.open("/under_test/page?issue_key=AB-1&issue_key=AB-2")).status == 401


async def test_page_without_its_host_object_is_refused(wire):
    assert (await wire.open("/under_test/page")).status == 401


async def test_page_with_an_empty_host_object_is_refused(wire):
    assert (await wire.open("/under_test/page?issue_key=")).status == 401


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("%ED%A0%BD", "\ufffd"),
        ("AB-1%ED%B8%80", "AB-1\ufffd"),
        ("%ED%B8%80%ED%A0%BD", "\ufffd\ufffd"),
        ("%ED%A0%BD%ED%B8%80", "\U0001f600"),
        ("%f0%9f%98%80%ed%a0%bd", "\U0001f600\ufffd"),
    ],
)
async def test_page_variable_with_half_a_surrogate_pair_has_the_replacement_character(wire, value, text):
    answer = await wire.open(f"/under_test/page?issue_key={value}")
    assert answer.status == 200
    assert f"{text} for acc-1" in answer.text


async def test_token_is_refused_at_another_path(wire):
    token = wire.token("GET", "/under_test/overview")
    assert (await wire.ask("GET", f"/neighbour/calm?jwt={token}")).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
async def test_token_is_refused_with_another_method(wire, method):
    assert (await wire.ask(method, f"{PAGE}&jwt={wire.token('GET', PAGE)}")).status == 401


async def test_page_requested_with_head_has_no_body(wire):
    answer = await wire.open(PAGE, "HEAD")
    assert answer.status == 200


@pytest.mark.parametrize("place", ["query", "header"])
async def test_context_token_is_refused_for_a_page(wire, place):
    token = wire.site.context_token("acc-1", {"jira": {"issue": {"key": "AB-1"}}})
    asked = wire.ask("GET", f"{PAGE}&jwt={token}") if place == "query" else wire.send(f"JWT {token}", "GET", PAGE)
    assert (await asked).status == 401


async def test_context_token_in_the_query_is_refused_for_a_pages_route(wire):
    token = wire.site.context_token("acc-1")
    assert (await wire.ask("GET", f"/under_test/who?jwt={token}")).status == 401


async def test_exact_token_is_refused_for_a_pages_route(wire):
    assert (await wire.open("/under_test/who")).status == 401


async def test_token_without_a_query_hash_is_refused(wire):
    assert (await wire.open(PAGE, qsh=None)).status == 401


@pytest.mark.parametrize("qsh", ["", "0" * 64, "CONTEXT-QSH", "context-qsh ", "\ud800"])
async def test_token_with_an_invalid_query_hash_is_refused(wire, qsh):
    assert (await wire.open(PAGE, qsh=qsh)).status == 401


@pytest.mark.parametrize("claim", ["iat", "exp", "iss"])
async def test_token_without_a_required_claim_is_refused(wire, claim):
    assert (await wire.open(PAGE, **{claim: None})).status == 401


@pytest.mark.parametrize("exp", [0, 1, str, float, 2**60, True, [2**31]])
async def test_token_with_an_invalid_past_or_distant_expiry_is_refused(wire, exp):
    exp = exp(int(time.time()) + 99) if callable(exp) else exp
    assert (await wire.open(PAGE, exp=exp)).status == 401


async def test_token_just_past_the_leeway_is_refused(wire):
    now = int(time.time())
    assert (await wire.open(PAGE, iat=now - 200, exp=now - 32)).status == 401


async def test_token_from_the_future_is_refused(wire):
    now = int(time.time())
    assert (await wire.open(PAGE, iat=now + 60, exp=now + 120)).status == 401


async def test_token_not_yet_valid_is_refused(wire):
    assert (await wire.open(PAGE, nbf=int(time.time()) + 60)).status == 401


@pytest.mark.parametrize("audience", ["com.example.other", ["http://localhost:8000", "https://evil.example"], "", []])
async def test_token_for_another_audience_is_refused(wire, audience):
    assert (await wire.open(PAGE, aud=audience)).status == 401


@pytest.mark.parametrize("ours", ["com.example.test", "http://localhost:8000", "http://localhost:8000/"])
async def test_token_with_the_add_on_as_audience_is_accepted(wire, ours):
    assert (await wire.open(PAGE, aud=ours)).status == 200


async def test_token_signed_with_another_secret_is_refused(wire):
    token = jwt.encode(wire.claims("GET", PAGE), "x" * 48, algorithm="HS256")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_token_with_another_algorithm_is_refused(wire, algorithm):
    secret = wire.site.shared_secret
    token = jwt.encode(wire.claims("GET", PAGE), secret, algorithm=algorithm)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_token_without_a_signature_is_refused(wire):
    token = jwt.encode(wire.claims("GET", PAGE), None, algorithm="none")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_token_signed_with_an_install_key_is_refused_for_a_page(wire):
    token = wire.host.keys.sign(wire.claims("GET", PAGE))
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_token_that_claims_another_site_is_refused(wire):
    other = await wire.host.install()
    token = wire.signed(wire.claims("GET", PAGE, other), wire.site)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_token_of_an_unknown_site_is_refused(wire):
    assert (await wire.open(PAGE, iss="nobody")).status == 401


@pytest.mark.parametrize("name", ["xdm_e", "tenant", "client_key", "clientKey", "iss"])
async def test_tenant_comes_from_the_token_and_from_no_parameter(wire, name):
    other = await wire.host.install()
    answer = await wire.open(f"{PAGE}&{name}={other.client_key}")
    assert wire.site.client_key in answer.text
    assert other.client_key not in answer.text


async def test_anonymous_user_has_no_account_id(wire):
    answer = await wire.open(PAGE, sub=None)
    assert (answer.status, "AB-1 for None" in answer.text) == (200, True)


async def test_query_hash_distinguishes_an_ampersand_in_the_path(wire):
    token = wire.token("GET", "/under_test/page&issue_key=AB-1")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_token_with_a_changed_signature_bit_is_refused(wire):
    head, _, signature = wire.token("GET", PAGE).rpartition(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = signature[:-1] + last[last.index(signature[-1]) ^ 1]
    assert (await wire.ask("GET", f"{PAGE}&jwt={head}.{stray}")).status == 401


@pytest.mark.parametrize("suffix", ["=", ".", ".e30", "%3D", "%20"])
async def test_token_with_trailing_characters_is_refused(wire, suffix):
    assert (await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}{suffix}")).status == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "e30.e30.e30", "x" * 9000, "é.é.é"])
async def test_token_that_is_malformed_is_refused(wire, token):
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_query_with_over_a_thousand_parameters_is_refused(wire):
    many = "&".join(f"a{number}=1" for number in range(1500))
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&{many}&jwt={token}")).status == 401


async def test_host_object_outside_of_ascii_is_read_as_signed(wire):
    target = "/under_test/page?issue_key=" + "Ü-1".encode().decode("latin-1")
    assert "Ü-1 for" in (await wire.open(target)).text


async def test_page_escapes_markup_in_a_parameter(wire):
    answer = await wire.open("/under_test/page?issue_key=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert (answer.status, "<script>alert" in answer.text) == (200, False)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("target", ["/under_test/page?issue_key=<b>x</b>", "/<b>x</b>", "/nobody/<b>x</b>?a=<b>x</b>"])
async def test_refusal_repeats_nothing_of_the_request(wire, accept, target):
    answer = await wire.ask("GET", target, [("accept", accept), ("x", "<b>x</b>"), ("referer", "<b>x</b>")])
    assert answer.status in (401, 404)
    assert "<b>" not in answer.text


@pytest.mark.parametrize("value", ["\xc3%A9", "%C3\xa9", "\xe2%82\xac"])
async def test_signed_query_that_is_utf8_only_after_decoding_is_malformed(wire, value):
    assert (await wire.open(f"/under_test/overview?issue_key={value}")).status == 400
