"""Why a token is refused: the doctor says what the edge would say, in its order, and where the fault most likely is."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from addonkit.check.result import Finding, State
from addonkit.check.token import looked_at
from addonkit.check.token_input import NotUnderstood, pasted_with
from addonkit.errors import TokenInvalid
from addonkit.testing import Site

from tests.support.plugin_under_test import BASE_URL
from tests.support.wire import PAGE, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


def now() -> int:
    return int(time.time())


async def told(wire: Wire, text: str, request: str | None = None, event: str | None = None) -> list[Finding]:
    """What the doctor says of what was pasted."""
    found = [one async for one in looked_at(wire.addon, pasted_with(text, request, BASE_URL), event)]
    token = text.rpartition("jwt=")[2].rpartition(" ")[2]
    for part in (token, token.rpartition(".")[2]):
        assert not any(part in one.said for one in found)
    return found


def stages(found: list[Finding]) -> list[str]:
    """What was passed, in order."""
    return [one.look for one in found if one.state is State.OK]


def fault(found: list[Finding]) -> tuple[str, str]:
    """Where it ended, and why."""
    *passed, last = found
    assert last.state is State.WRONG, found
    assert all(one.state is not State.WRONG for one in passed)
    return last.look, last.said


async def test_an_address_that_was_pasted_whole_is_accepted_with_all_that_it_proves(wire: Wire, site: Site) -> None:
    found = await told(wire, f"{BASE_URL}{PAGE}&jwt={wire.token('GET', PAGE, site)}")
    assert stages(found) == ["shape", "site", "signature", "times", "audience", "request", "route", "token"]
    assert found[-1].said == (
        f"accepted: site '{site.base_url}' ({site.client_key}), account 'acc-1', licence unknown, proof exact, "
        "issue_key 'AB-1'"
    )


async def test_what_it_accepts_is_accepted_by_the_edge_afterwards(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site)
    assert stages(await told(wire, token, f"GET {PAGE}"))[-1] == "token"
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 200


async def test_a_bare_token_is_looked_at_as_far_as_it_goes(wire: Wire, site: Site) -> None:
    found = await told(wire, wire.token("GET", PAGE, site))
    assert [one.said for one in found][-2:] == [
        "not known; name it with --request to see whether the token fits",
        "nothing is wrong with the token itself",
    ]


async def test_an_expired_token_is_told_its_age_and_the_clock(wire: Wire, site: Site) -> None:
    found = await told(wire, wire.token("GET", PAGE, site, iat=now() - 372, exp=now() - 192))
    assert stages(found) == ["shape", "site", "signature"]
    look, said = fault(found)
    assert look == "times"
    assert "has expired 3 min " in said
    assert "this machine's clock says 20" in said
    assert "and 30 s of difference are forgiven" in said


async def test_a_token_from_the_future_is_told_by_how_much(wire: Wire, site: Site) -> None:
    look, said = fault(await told(wire, wire.token("GET", PAGE, site, iat=now() + 7200, exp=now() + 7300)))
    assert (look, "from the future, by " in said) == ("times", True)


async def test_a_foreign_audience_is_named_with_those_that_are_expected(wire: Wire, site: Site) -> None:
    found = await told(wire, wire.token("GET", PAGE, site, aud="https://old.example.com"))
    assert stages(found) == ["shape", "site", "signature", "times"]
    look, said = fault(found)
    assert look == "audience"
    assert "'https://old.example.com', expected one of " in said
    assert f"'{BASE_URL}'" in said


async def test_a_site_that_never_installed_is_named(wire: Wire, newcomer: Site) -> None:
    assert fault(await told(wire, wire.token("GET", PAGE, newcomer))) == (
        "site",
        f"no site '{newcomer.client_key}' has installed the add-on",
    )


async def test_a_site_that_is_off_is_told_its_state(wire: Wire, site: Site) -> None:
    await wire.host.disable(site)
    look, said = fault(await told(wire, wire.token("GET", PAGE, site)))
    assert (look, said) == ("site", f"the site '{site.client_key}' is disabled")


async def test_a_foreign_secret_is_a_fault_of_the_signature(wire: Wire, site: Site) -> None:
    token = jwt.encode(wire.claims("GET", PAGE, site), "x" * 40, algorithm="HS256")
    look, said = fault(await told(wire, token))
    assert look == "signature"
    assert "another deployment that this site installed" in said


async def test_a_token_of_before_a_rotation_is_told_until_when_it_is_taken(wire: Wire, site: Site) -> None:
    old = wire.token("GET", PAGE, site)
    await wire.host.reinstall(site)
    found = await told(wire, old, f"GET {PAGE}")
    assert found[-1].state is State.OK
    assert "former secret, which is taken until 20" in next(one.said for one in found if one.look == "signature")


async def test_a_former_secret_in_the_header_is_told_where_it_belongs(wire: Wire, site: Site) -> None:
    old = wire.token("GET", PAGE, site)
    await wire.host.reinstall(site)
    look, said = fault(await told(wire, f"Authorization: JWT {old}", f"GET {PAGE}"))
    assert look == "signature"
    assert "it is made with the former one, which is taken until 20" in said


async def test_another_algorithm_is_told_with_the_one_that_is_expected(wire: Wire, site: Site) -> None:
    look, said = fault(await told(wire, wire.host.keys.sign(wire.claims("GET", PAGE, site))))
    assert look == "signature"
    assert "signed with 'RS256' and is not of the kind that is expected here, 'JWT' signed with 'HS256'" in said
    assert "look at it with --event" in said


CHANGES: dict[str, tuple[str, str]] = {
    "GET /under_test/page?issue_key=AB-1&utm=x": ("GET", "the parameter 'utm' was added on the way"),
    "GET /under_test/failing?issue_key=AB-2": ("GET", "path or query were changed on the way"),
    "POST /under_test/page?issue_key=AB-1": ("POST", "it was made for GET"),
    "GET /app/under_test/page?issue_key=AB-1": ("GET", "it was made for the path '/under_test/page': a proxy puts"),
    "GET /under_test/overview?issue_key=AB-1": ("GET", "it was made for the path '/under_test/page'"),
}


@pytest.mark.parametrize("request_line", CHANGES)
async def test_a_changed_request_is_told_with_the_likely_cause(wire: Wire, site: Site, request_line: str) -> None:
    found = await told(wire, wire.token("GET", PAGE, site), request_line)
    method, cause = CHANGES[request_line]
    look, said = fault(found)
    assert look == "request"
    assert f"hashed was '{method}&" in said
    assert cause in said


async def test_a_context_token_opens_a_pages_own_route_and_no_page(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site, qsh="context-qsh")
    assert stages(await told(wire, f"JWT {token}", "GET /under_test/who"))[-1] == "token"
    assert fault(await told(wire, f"JWT {token}", f"GET {PAGE}")) == (
        "route",
        "'under_test.page' demands exact, was shown context",
    )


async def test_a_context_token_in_an_address_is_told_where_it_belongs(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site, qsh="context-qsh")
    look, said = fault(await told(wire, f"{PAGE}&jwt={token}"))
    assert (look, said) == ("request", "the context token is in the query, expected in 'Authorization: JWT …'")


async def test_a_session_is_looked_at_as_ours(wire: Wire, site: Site) -> None:
    session = await wire.session(site=site)
    found = await told(wire, f"Session {session}", "GET /under_test/who")
    assert stages(found) == ["shape", "session", "site", "request", "route", "token"]
    look, said = fault(await told(wire, session, "GET /neighbour/who"))
    assert look == "request"
    assert said == "the session is for the plugin 'under_test', and the request is for another path"


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        ("GET /under_test/nowhere", "no enabled plugin has the path '/under_test/nowhere'"),
        ("POST /under_test/overview", "'/under_test/overview' does not take POST"),
        ("GET /under_test/who", "'under_test.who' demands own page, was shown exact"),
    ],
)
async def test_a_fitting_token_is_told_what_is_at_its_path(
    wire: Wire, site: Site, request_line: str, said: str
) -> None:
    method, _, path = request_line.partition(" ")
    assert fault(await told(wire, wire.token(method, path, site), request_line)) == ("route", said)


async def test_an_install_token_is_looked_at_and_not_spent(wire: Wire, newcomer: Site) -> None:
    token, body = wire.installed(newcomer)
    found = await told(wire, token, event="installed")
    assert stages(found) == ["shape", "key", "signature", "times", "audience", "request", "use", "token"]
    assert (await wire.tell("installed", token, body)).status == 204
    look, said = fault(await told(wire, token, event="installed"))
    assert (look, "was used before" in said) == ("use", True)


async def test_an_install_token_that_is_older_than_the_last_is_told_so(wire: Wire, site: Site) -> None:
    token, _ = wire.installed(site, iat=now() - 60, exp=now() + 60)
    look, said = fault(await told(wire, token, event="installed"))
    assert (look, "before the one of" in said) == ("use", True)


async def test_an_install_token_of_an_unknown_key_is_told_so(wire: Wire, site: Site) -> None:
    claims = wire.claims("POST", "/lifecycle/installed", site, **wire.audience())
    token = jwt.encode(claims, wire.host.keys.private_pem, algorithm="RS256", headers={"kid": "another"})
    assert fault(await told(wire, token, event="installed")) == ("key", "no key host knows the key 'another'")


@pytest.mark.parametrize("event", ["installed", "enabled"])
async def test_a_lifecycle_call_signed_in_the_others_way_is_told_so(wire: Wire, site: Site, event: str) -> None:
    other = "enabled" if event == "installed" else "installed"
    token, _ = wire.call(site, other)
    look, said = fault(await told(wire, token, event=event))
    expected = ("HS256", "RS256") if event == "installed" else ("RS256", "HS256")
    assert (look, said) == ("shape", f"'{event}' is signed with {expected[0]}, expected {expected[1]}")


async def test_a_lifecycle_call_is_known_by_its_path(wire: Wire, site: Site) -> None:
    token, _ = wire.notice(site, "disabled")
    found = await told(wire, token, "POST /lifecycle/disabled")
    assert stages(found)[-1] == "token"
    assert await wire.is_known(site)


async def test_a_lifecycle_token_of_another_call_is_told_which(wire: Wire, site: Site) -> None:
    token, _ = wire.notice(site, "enabled")
    look, said = fault(await told(wire, token, event="disabled"))
    assert look == "request"
    assert "it was made for the path '/lifecycle/enabled'" in said


async def test_a_lifecycle_call_of_an_unknown_site_is_told_so(wire: Wire, newcomer: Site) -> None:
    token, _ = wire.notice(newcomer, "enabled")
    assert fault(await told(wire, token, event="enabled"))[0] == "site"


WRONG: dict[str, tuple[str, str | None, str]] = {
    "nothing": ("  ", None, "there is no token on standard input"),
    "an address without one": ("https://x/page", None, "the request goes to 'https://x'"),
    "a path without one": ("/page?a=b", None, "carries no token in 'jwt'"),
    "a token as an argument": ("a.b.c", "GET /page?jwt=a.b.c", "--request carries a token"),
    "another host": ("a.b.c", "GET https://elsewhere.example.com/page", "expected the base URL"),
    "no request": ("a.b.c", "GET page one", "the request is neither"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_understood_is_told_without_repeating_it(case: str) -> None:
    text, request, said = WRONG[case]
    with pytest.raises(NotUnderstood) as raised:
        pasted_with(text, request, BASE_URL)
    assert said in str(raised.value)
    assert "a.b.c" not in str(raised.value)


async def test_two_tokens_in_one_address_are_refused() -> None:
    with pytest.raises(TokenInvalid, match="more than one"):
        pasted_with("/page?jwt=a.b.c&jwt=d.e.f", None, BASE_URL)


@pytest.mark.parametrize("text", ["x", "a.b.c", "eyJ.eyJ.", "…"])
async def test_what_is_no_token_ends_at_its_shape(wire: Wire, text: str) -> None:
    found = [one async for one in looked_at(wire.addon, pasted_with(text, None, BASE_URL))]
    assert fault(found)[0] == "shape"


@pytest.mark.parametrize("path", ["/kit/panel?a=b", "/panel?a=b", "https://x.example.com/kit/panel?a=b"])
async def test_a_path_may_be_told_with_or_without_the_base_urls(path: str) -> None:
    found: Any = pasted_with("a.b.c", f"post {path}", "https://x.example.com/kit").request
    assert (found.method, found.path, found.query) == ("POST", "/panel", "a=b")
