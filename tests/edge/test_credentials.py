"""One credential, in one place, in one spelling."""

import pytest
from addonkit.edge.credentials import Place, find_credential
from addonkit.errors import TokenInvalid

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_token_in_the_query_and_one_in_the_header_are_one_too_many(wire):
    token = wire.token("GET", PAGE)
    answer = await wire.send(f"JWT {token}", "GET", f"{PAGE}&jwt={token}")
    assert answer.status == 401


async def test_a_session_and_a_token_in_the_query_are_one_too_many(wire):
    target = f"/under_test/who?jwt={wire.token('GET', '/under_test/who')}"
    assert (await wire.send(f"Session {await wire.session()}", "GET", target)).status == 401


async def test_a_token_twice_in_the_query_is_refused(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}&jwt={token}")).status == 401


@pytest.mark.parametrize("name", ["%6Awt", "j%77t", "jw%74", "%6a%77%74"])
async def test_a_second_token_under_an_encoded_name_is_refused(wire, name):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}&{name}={token}")).status == 401


async def test_an_empty_token_beside_a_good_one_is_refused(wire):
    assert (await wire.send(f"JWT {wire.token('GET', PAGE)}", "GET", f"{PAGE}&jwt=")).status == 401


async def test_two_authorization_headers_are_refused(wire):
    line = ("authorization", f"JWT {wire.token('GET', PAGE)}")
    assert (await wire.ask("GET", PAGE, [line, line])).status == 401


async def test_an_authorization_header_that_is_no_token_spoils_a_good_query(wire):
    answer = await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}", [("authorization", "Basic eDp5")])
    assert answer.status == 401


@pytest.mark.parametrize(
    "spelling",
    [
        "jwt {}",
        "Jwt {}",
        "JWT  {}",
        "JWT\t{}",
        " JWT {}",
        "JWT {} ",
        "Bearer {}",
        "Basic {}",
        "JWT={}",
        "{}",
        "JWT",
        "",
    ],
)
async def test_another_spelling_of_the_header_is_refused(wire, spelling):
    assert (await wire.send(spelling.format(wire.token("GET", PAGE)), "GET", PAGE)).status == 401


@pytest.mark.parametrize("spelling", ["session {}", "SESSION {}", "Session  {}", "Session\t{}", "Session"])
async def test_another_spelling_of_a_session_is_refused(wire, spelling):
    assert (await wire.send(spelling.format(await wire.session()), "GET", "/under_test/who")).status == 401


@pytest.mark.parametrize("name", ["JWT", "Jwt", "acpt", "token", "access_token"])
async def test_no_other_parameter_is_a_credential(wire, name):
    assert (await wire.ask("GET", f"{PAGE}&{name}={wire.token('GET', PAGE)}")).status == 401


async def test_a_cookie_is_no_credential(wire):
    assert (await wire.ask("GET", PAGE, [("cookie", f"jwt={wire.token('GET', PAGE)}")])).status == 401


@pytest.mark.parametrize("target", ["/under_test/open", "/nowhere"])
async def test_a_false_credential_is_refused_also_where_none_is_asked_for(wire, target):
    assert (await wire.send("JWT x.y.z", "GET", target)).status == 401


async def test_no_switch_of_the_environment_lets_an_unsigned_page_through(wire, monkeypatch):
    for name in ("AC_OPTS", "QUART_DEBUG", "FLASK_DEBUG", "ADDONKIT_DEBUG"):
        monkeypatch.setenv(name, "no-auth")
    assert (await wire.ask("GET", PAGE)).status == 401


async def test_a_credential_never_shows_in_its_representation():
    found = find_credential("jwt=very-secret", [])
    assert found is not None
    assert (found.place, "very-secret" in repr(found)) == (Place.QUERY, False)


async def test_the_refusal_of_two_credentials_repeats_neither():
    with pytest.raises(TokenInvalid) as refused:
        find_credential("jwt=very-secret", [(b"authorization", b"JWT other-secret")])
    assert "secret" not in str(refused.value)
