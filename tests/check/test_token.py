"""Why a token is refused: the result of the edge's own stages, in its order, with the likely cause."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from addonkit.check.context import Result, State
from addonkit.check.token import explain_with
from addonkit.check.token_input import InputInvalid, read_token
from addonkit.errors import TokenInvalid
from addonkit.testing import Site

from tests.support.plugin_under_test import BASE_URL
from tests.support.wire import PAGE, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


def now() -> int:
    return int(time.time())


async def explain(wire: Wire, text: str, request: str | None = None, event: str | None = None) -> list[Result]:
    """The results for an input."""
    found = [one async for one in explain_with(wire.addon, read_token(text, request, BASE_URL), event)]
    token = text.rpartition("jwt=")[2].rpartition(" ")[2]
    for part in (token, token.rpartition(".")[2]):
        assert not any(part in one.message for one in found)
    return found


def stages(found: list[Result]) -> list[str]:
    """What was passed, in order."""
    return [one.check for one in found if one.state is State.OK]


def fault(found: list[Result]) -> tuple[str, str]:
    """Where it ended, and why."""
    *passed, last = found
    assert last.state is State.WRONG, found
    assert all(one.state is not State.WRONG for one in passed)
    return last.check, last.message


async def test_token_in_a_whole_address_is_accepted_with_all_that_it_proves(wire: Wire, site: Site) -> None:
    found = await explain(wire, f"{BASE_URL}{PAGE}&jwt={wire.token('GET', PAGE, site)}")
    assert stages(found) == ["shape", "site", "signature", "times", "audience", "request", "route", "token"]
    assert found[-1].message == (
        f"accepted: site '{site.base_url}' ({site.client_key}), account 'acc-1', licence unknown, proof exact, "
        "issue_key 'AB-1'"
    )


async def test_token_that_is_accepted_is_not_consumed(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site)
    assert stages(await explain(wire, token, f"GET {PAGE}"))[-1] == "token"
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}")).status == 200


async def test_token_without_its_request_is_checked_as_far_as_possible(wire: Wire, site: Site) -> None:
    found = await explain(wire, wire.token("GET", PAGE, site))
    assert [one.message for one in found][-2:] == [
        "unknown; pass it with --request to check that the token is for it",
        "the token itself is valid",
    ]


async def test_token_that_is_expired_is_reported_with_its_age_and_the_clock(wire: Wire, site: Site) -> None:
    found = await explain(wire, wire.token("GET", PAGE, site, iat=now() - 372, exp=now() - 192))
    assert stages(found) == ["shape", "site", "signature"]
    stage, sentence = fault(found)
    assert stage == "times"
    assert "the token expired 3 min " in sentence
    assert "this machine's clock is at 20" in sentence
    assert "and a difference of 30 s is accepted" in sentence


async def test_token_from_the_future_is_reported_with_the_difference(wire: Wire, site: Site) -> None:
    stage, sentence = fault(await explain(wire, wire.token("GET", PAGE, site, iat=now() + 7200, exp=now() + 7300)))
    assert (stage, " in the future; compare" in sentence) == ("times", True)


async def test_token_for_another_audience_is_reported_with_the_expected_ones(wire: Wire, site: Site) -> None:
    found = await explain(wire, wire.token("GET", PAGE, site, aud="https://old.example.com"))
    assert stages(found) == ["shape", "site", "signature", "times"]
    stage, sentence = fault(found)
    assert stage == "audience"
    assert "'https://old.example.com', expected one of " in sentence
    assert f"'{BASE_URL}'" in sentence


async def test_token_of_an_unknown_site_names_its_client_key(wire: Wire, newcomer: Site) -> None:
    assert fault(await explain(wire, wire.token("GET", PAGE, newcomer))) == (
        "site",
        f"no site '{newcomer.client_key}' has installed the add-on",
    )


async def test_token_that_was_issued_after_the_disabling_is_accepted_without_enabling_the_site(
    wire: Wire, site: Site
) -> None:
    token, body = wire.state_request(site, "disabled", iat=int(time.time()) - 60)
    assert (await wire.send_lifecycle("disabled", token, body)).status == 204
    found = await explain(wire, wire.token("GET", PAGE, site), f"GET {PAGE}")
    assert [result.state for result in found if result.check == "site"] == [State.WARN]
    assert found[-1].message.startswith("accepted: ")
    query = "SELECT state FROM addonkit_tenant WHERE client_key = ?"
    assert wire.rows(query, site.client_key) == [("disabled",)]


async def test_token_of_a_disabled_site_names_the_state(wire: Wire, site: Site) -> None:
    await wire.host.disable(site)
    stage, sentence = fault(await explain(wire, wire.token("GET", PAGE, site)))
    assert (stage, sentence) == ("site", f"the site '{site.client_key}' is disabled")


async def test_token_with_another_secret_fails_at_the_signature(wire: Wire, site: Site) -> None:
    token = jwt.encode(wire.claims("GET", PAGE, site), "x" * 40, algorithm="HS256")
    stage, sentence = fault(await explain(wire, token))
    assert stage == "signature"
    assert "the site may have a newer secret" in sentence


async def test_token_with_the_former_secret_says_until_when_it_is_accepted(wire: Wire, site: Site) -> None:
    old = wire.token("GET", PAGE, site)
    await wire.host.reinstall(site)
    found = await explain(wire, old, f"GET {PAGE}")
    assert found[-1].state is State.OK
    assert "former secret, which is accepted until 20" in next(one.message for one in found if one.check == "signature")


async def test_token_with_the_former_secret_in_the_header_is_refused(wire: Wire, site: Site) -> None:
    old = wire.token("GET", PAGE, site)
    await wire.host.reinstall(site)
    stage, sentence = fault(await explain(wire, f"Authorization: JWT {old}", f"GET {PAGE}"))
    assert stage == "signature"
    assert "it is made with the former secret, which is accepted until 20" in sentence


async def test_token_with_another_algorithm_names_the_expected_one(wire: Wire, site: Site) -> None:
    stage, sentence = fault(await explain(wire, wire.host.keys.sign(wire.claims("GET", PAGE, site))))
    assert stage == "signature"
    assert "signed with 'RS256' and is not of the kind that is expected here, 'JWT' signed with 'HS256'" in sentence
    assert "check it with --event" in sentence


CHANGES: dict[str, tuple[str, str]] = {
    "GET /under_test/page?issue_key=AB-1&utm=x": ("GET", "the parameter 'utm' was added on the way"),
    "GET /under_test/failing?issue_key=AB-2": ("GET", "path or query were changed on the way"),
    "POST /under_test/page?issue_key=AB-1": ("POST", "the token was made for GET"),
    "GET /app/under_test/page?issue_key=AB-1": (
        "GET",
        "the token was made for the path '/under_test/page': a proxy adds",
    ),
    "GET /under_test/overview?issue_key=AB-1": ("GET", "the token was made for the path '/under_test/page'"),
}


@pytest.mark.parametrize("request_line", CHANGES)
async def test_query_hash_mismatch_is_explained_with_its_likely_cause(
    wire: Wire, site: Site, request_line: str
) -> None:
    found = await explain(wire, wire.token("GET", PAGE, site), request_line)
    method, cause = CHANGES[request_line]
    stage, sentence = fault(found)
    assert stage == "request"
    assert f"the hashed text is '{method}&" in sentence
    assert cause in sentence


async def test_context_token_is_accepted_for_a_pages_own_requests_only(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site, qsh="context-qsh")
    assert stages(await explain(wire, f"JWT {token}", "GET /under_test/who"))[-1] == "token"
    assert fault(await explain(wire, f"JWT {token}", f"GET {PAGE}")) == (
        "route",
        "'under_test.page' demands the proof 'exact', found 'context'",
    )


async def test_context_token_in_an_address_names_the_header(wire: Wire, site: Site) -> None:
    token = wire.token("GET", PAGE, site, qsh="context-qsh")
    stage, sentence = fault(await explain(wire, f"{PAGE}&jwt={token}"))
    assert (stage, sentence) == ("request", "the context token is in the query, expected in 'Authorization: JWT …'")


async def test_session_is_checked_by_its_own_stages(wire: Wire, site: Site) -> None:
    session = await wire.session(site=site)
    found = await explain(wire, f"Session {session}", "GET /under_test/who")
    assert stages(found) == ["shape", "session", "site", "request", "route", "token"]
    stage, sentence = fault(await explain(wire, session, "GET /neighbour/who"))
    assert stage == "request"
    assert sentence == "the session is for the plugin 'under_test', but the request is for another path"


@pytest.mark.parametrize(
    ("request_line", "sentence"),
    [
        ("GET /under_test/nowhere", "no enabled plugin has the path '/under_test/nowhere'"),
        ("POST /under_test/overview", "'/under_test/overview' does not accept POST"),
        ("GET /under_test/who", "'under_test.who' demands the proof 'own page', found 'exact'"),
    ],
)
async def test_token_without_a_matching_route_is_refused_at_the_route(
    wire: Wire, site: Site, request_line: str, sentence: str
) -> None:
    method, _, path = request_line.partition(" ")
    assert fault(await explain(wire, wire.token(method, path, site), request_line)) == ("route", sentence)


async def test_install_token_is_checked_and_not_consumed(wire: Wire, newcomer: Site) -> None:
    token, body = wire.installed(newcomer)
    found = await explain(wire, token, event="installed")
    assert stages(found) == ["shape", "key", "signature", "times", "audience", "request", "replay", "token"]
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    stage, sentence = fault(await explain(wire, token, event="installed"))
    assert (stage, "was used before" in sentence) == ("replay", True)


async def test_install_token_older_than_the_last_one_fails_replay_protection(wire: Wire, site: Site) -> None:
    token, _ = wire.installed(site, iat=now() - 60, exp=now() + 60)
    stage, sentence = fault(await explain(wire, token, event="installed"))
    assert (stage, "before the token of" in sentence) == ("replay", True)


async def test_install_token_of_an_unknown_key_fails_at_the_key(wire: Wire, site: Site) -> None:
    claims = wire.claims("POST", "/lifecycle/installed", site, **wire.audience())
    token = jwt.encode(claims, wire.host.keys.private_pem, algorithm="RS256", headers={"kid": "another"})
    assert fault(await explain(wire, token, event="installed")) == ("key", "no key host knows the key 'another'")


@pytest.mark.parametrize("event", ["installed", "enabled"])
async def test_lifecycle_token_with_the_wrong_algorithm_fails_at_its_shape(wire: Wire, site: Site, event: str) -> None:
    other = "enabled" if event == "installed" else "installed"
    token, _ = wire.lifecycle_request(site, other)
    stage, sentence = fault(await explain(wire, token, event=event))
    expected = ("HS256", "RS256") if event == "installed" else ("RS256", "HS256")
    assert (stage, sentence) == ("shape", f"'{event}' is signed with {expected[0]}, expected {expected[1]}")


async def test_lifecycle_request_is_recognised_by_its_path(wire: Wire, site: Site) -> None:
    token, _ = wire.state_request(site, "disabled")
    found = await explain(wire, token, "POST /lifecycle/disabled")
    assert stages(found)[-1] == "token"
    assert await wire.is_known(site)


async def test_lifecycle_token_of_another_event_names_that_event(wire: Wire, site: Site) -> None:
    token, _ = wire.state_request(site, "enabled")
    stage, sentence = fault(await explain(wire, token, event="disabled"))
    assert stage == "request"
    assert "the token was made for the path '/lifecycle/enabled'" in sentence


async def test_lifecycle_token_of_an_unknown_site_fails_at_the_site(wire: Wire, newcomer: Site) -> None:
    token, _ = wire.state_request(newcomer, "enabled")
    assert fault(await explain(wire, token, event="enabled"))[0] == "site"


WRONG: dict[str, tuple[str, str | None, str]] = {
    "nothing": ("  ", None, "there is no token on standard input"),
    "an address without one": ("https://x/page", None, "the request is for 'https://x'"),
    "a path without one": ("/page?a=b", None, "has no parameter 'jwt' with a token"),
    "a token as an argument": ("a.b.c", "GET /page?jwt=a.b.c", "--request contains a token"),
    "another host": ("a.b.c", "GET https://elsewhere.example.com/page", "expected the base URL"),
    "no request": ("a.b.c", "GET page one", "the request is neither"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_token_input_that_is_invalid_is_refused_without_repeating_it(case: str) -> None:
    text, request, result = WRONG[case]
    with pytest.raises(InputInvalid) as raised:
        read_token(text, request, BASE_URL)
    assert result in str(raised.value)
    assert "a.b.c" not in str(raised.value)


async def test_token_input_with_two_tokens_is_refused() -> None:
    with pytest.raises(TokenInvalid, match="more than one"):
        read_token("/page?jwt=a.b.c&jwt=d.e.f", None, BASE_URL)


@pytest.mark.parametrize("text", ["x", "a.b.c", "eyJ.eyJ.", "…"])
async def test_token_input_that_is_not_a_token_fails_at_its_shape(wire: Wire, text: str) -> None:
    found = [one async for one in explain_with(wire.addon, read_token(text, None, BASE_URL))]
    assert fault(found)[0] == "shape"


@pytest.mark.parametrize("path", ["/kit/panel?a=b", "/panel?a=b", "https://x.example.com/kit/panel?a=b"])
async def test_request_path_may_include_the_base_path_or_not(path: str) -> None:
    found: Any = read_token("a.b.c", f"post {path}", "https://x.example.com/kit").request
    assert (found.method, found.path, found.query) == ("POST", "/panel", "a=b")
