"""Module pages: only what the host signed, for this request, by a site that is installed."""

import time

import jwt
import pytest

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_signed_page_is_served(wire):
    answer = await wire.open(PAGE)
    assert answer.status == 200
    assert f"AB-1 for acc-1 on {wire.site.client_key}" in answer.text


async def test_an_unsigned_page_is_refused(wire):
    assert (await wire.ask("GET", PAGE)).status == 401


async def test_a_token_in_the_header_opens_a_page_that_the_host_itself_asks_for(wire):
    assert (await wire.send(f"JWT {wire.token('GET', PAGE)}", "GET", PAGE)).status == 200


async def test_a_changed_query_is_refused(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/under_test/page?issue_key=AB-2&jwt={token}")).status == 401


async def test_a_parameter_more_than_was_signed_is_refused(wire):
    assert (await wire.ask("GET", f"{PAGE}&lic=active&jwt={wire.token('GET', PAGE)}")).status == 401


async def test_a_parameter_less_than_was_signed_is_refused(wire):
    token = wire.token("GET", f"{PAGE}&lic=none")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_a_second_licence_beside_the_signed_one_is_refused(wire):
    token = wire.token("GET", "/under_test/overview?lic=none")
    assert (await wire.ask("GET", f"/under_test/overview?lic=none&lic=active&jwt={token}")).status == 401


async def test_two_signed_licences_say_nothing(wire):
    answer = await wire.open("/under_test/overview?lic=none&lic=active")
    assert answer.text == "overview unknown None"


async def test_two_signed_values_of_a_host_object_fill_none(wire):
    assert (await wire.open("/under_test/page?issue_key=AB-1&issue_key=AB-2")).status == 401


async def test_a_page_that_lacks_its_object_is_refused(wire):
    assert (await wire.open("/under_test/page")).status == 401


async def test_a_page_whose_object_is_empty_is_refused(wire):
    assert (await wire.open("/under_test/page?issue_key=")).status == 401


async def test_a_token_is_no_good_at_another_path(wire):
    token = wire.token("GET", "/under_test/overview")
    assert (await wire.ask("GET", f"/neighbour/calm?jwt={token}")).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
async def test_a_token_is_no_good_with_another_method(wire, method):
    assert (await wire.ask(method, f"{PAGE}&jwt={wire.token('GET', PAGE)}")).status == 401


async def test_a_head_that_was_signed_as_head_is_served_without_a_body(wire):
    answer = await wire.open(PAGE, "HEAD")
    assert answer.status == 200


@pytest.mark.parametrize("place", ["query", "header"])
async def test_a_context_token_opens_no_page(wire, place):
    token = wire.site.context_token("acc-1", {"jira": {"issue": {"key": "AB-1"}}})
    asked = wire.ask("GET", f"{PAGE}&jwt={token}") if place == "query" else wire.send(f"JWT {token}", "GET", PAGE)
    assert (await asked).status == 401


async def test_a_context_token_in_the_query_opens_no_route_of_a_page_either(wire):
    token = wire.site.context_token("acc-1")
    assert (await wire.ask("GET", f"/under_test/who?jwt={token}")).status == 401


async def test_an_exact_token_opens_no_route_of_a_page(wire):
    assert (await wire.open("/under_test/who")).status == 401


async def test_a_missing_query_hash_is_refused(wire):
    assert (await wire.open(PAGE, qsh=None)).status == 401


@pytest.mark.parametrize("qsh", ["", "0" * 64, "CONTEXT-QSH", "context-qsh ", "\ud800"])
async def test_a_made_up_query_hash_is_refused(wire, qsh):
    assert (await wire.open(PAGE, qsh=qsh)).status == 401


@pytest.mark.parametrize("claim", ["iat", "exp", "iss"])
async def test_a_missing_claim_is_refused(wire, claim):
    assert (await wire.open(PAGE, **{claim: None})).status == 401


@pytest.mark.parametrize("exp", [0, 1, str, float, 2**60, True, [2**31]])
async def test_an_odd_or_past_or_far_expiry_is_refused(wire, exp):
    exp = exp(int(time.time()) + 99) if callable(exp) else exp
    assert (await wire.open(PAGE, exp=exp)).status == 401


async def test_a_token_just_past_the_leeway_is_refused(wire):
    now = int(time.time())
    assert (await wire.open(PAGE, iat=now - 200, exp=now - 32)).status == 401


async def test_a_token_from_the_future_is_refused(wire):
    now = int(time.time())
    assert (await wire.open(PAGE, iat=now + 60, exp=now + 120)).status == 401


async def test_a_token_not_yet_valid_is_refused(wire):
    assert (await wire.open(PAGE, nbf=int(time.time()) + 60)).status == 401


@pytest.mark.parametrize("audience", ["com.example.other", ["http://localhost:8000", "https://evil.example"], "", []])
async def test_a_token_for_somebody_else_is_refused(wire, audience):
    assert (await wire.open(PAGE, aud=audience)).status == 401


@pytest.mark.parametrize("ours", ["com.example.test", "http://localhost:8000", "http://localhost:8000/"])
async def test_a_token_that_names_us_is_taken(wire, ours):
    assert (await wire.open(PAGE, aud=ours)).status == 200


async def test_a_token_signed_with_another_secret_is_refused(wire):
    token = jwt.encode(wire.claims("GET", PAGE), "x" * 48, algorithm="HS256")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_with_the_right_secret_is_refused(wire, algorithm):
    secret = wire.site.shared_secret
    token = jwt.encode(wire.claims("GET", PAGE), secret, algorithm=algorithm)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_an_unsigned_token_is_refused(wire):
    token = jwt.encode(wire.claims("GET", PAGE), None, algorithm="none")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_a_page_signed_with_the_install_key_is_refused(wire):
    token = wire.host.keys.sign(wire.claims("GET", PAGE))
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_a_token_of_one_site_names_another_in_vain(wire):
    other = await wire.host.install()
    token = wire.signed(wire.claims("GET", PAGE, other), wire.site)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_an_unknown_site_is_refused(wire):
    assert (await wire.open(PAGE, iss="nobody")).status == 401


@pytest.mark.parametrize("name", ["xdm_e", "tenant", "client_key", "clientKey", "iss"])
async def test_the_tenant_comes_from_the_token_and_from_no_parameter(wire, name):
    other = await wire.host.install()
    answer = await wire.open(f"{PAGE}&{name}={other.client_key}")
    assert wire.site.client_key in answer.text
    assert other.client_key not in answer.text


async def test_an_anonymous_visitor_is_a_visitor(wire):
    answer = await wire.open(PAGE, sub=None)
    assert (answer.status, "AB-1 for None" in answer.text) == (200, True)


async def test_an_ampersand_in_the_path_is_not_the_one_before_the_query(wire):
    token = wire.token("GET", "/under_test/page&issue_key=AB-1")
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_a_signature_with_a_stray_bit_is_refused(wire):
    head, _, signature = wire.token("GET", PAGE).rpartition(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = signature[:-1] + last[last.index(signature[-1]) ^ 1]
    assert (await wire.ask("GET", f"{PAGE}&jwt={head}.{stray}")).status == 401


@pytest.mark.parametrize("suffix", ["=", ".", ".e30", "%3D", "%20"])
async def test_a_token_with_something_behind_it_is_refused(wire, suffix):
    assert (await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}{suffix}")).status == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "e30.e30.e30", "x" * 9000, "é.é.é"])
async def test_what_is_no_token_is_refused(wire, token):
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401


async def test_over_a_thousand_parameters_are_refused(wire):
    many = "&".join(f"a{number}=1" for number in range(1500))
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&{many}&jwt={token}")).status == 401


async def test_names_outside_of_ascii_are_read_as_they_were_signed(wire):
    target = "/under_test/page?issue_key=" + "Ü-1".encode().decode("latin-1")
    assert "Ü-1 for" in (await wire.open(target)).text


async def test_markup_in_a_parameter_is_escaped(wire):
    answer = await wire.open("/under_test/page?issue_key=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert (answer.status, "<script>alert" in answer.text) == (200, False)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("target", ["/under_test/page?issue_key=<b>x</b>", "/<b>x</b>", "/nobody/<b>x</b>?a=<b>x</b>"])
async def test_a_refusal_repeats_nothing_of_the_request(wire, accept, target):
    answer = await wire.ask("GET", target, [("accept", accept), ("x", "<b>x</b>"), ("referer", "<b>x</b>")])
    assert answer.status in (401, 404)
    assert "<b>" not in answer.text
