"""Credentials: exactly one, in one place, in one spelling."""

import asyncio
import os
import subprocess
import sys

import pytest
from addonkit.edge.credentials import Place, find_credential
from addonkit.errors import TokenInvalid

from tests.distributions.third_party import ROOT
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_credentials_in_query_and_header_are_refused(wire):
    token = wire.token("GET", PAGE)
    answer = await wire.send(f"JWT {token}", "GET", f"{PAGE}&jwt={token}")
    assert answer.status == 401


async def test_credentials_as_session_and_in_the_query_are_refused(wire):
    target = f"/under_test/who?jwt={wire.token('GET', '/under_test/who')}"
    assert (await wire.send(f"Session {await wire.session()}", "GET", target)).status == 401


async def test_credentials_twice_in_the_query_are_refused(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}&jwt={token}")).status == 401


@pytest.mark.parametrize("name", ["%6Awt", "j%77t", "jw%74", "%6a%77%74"])
async def test_credential_under_a_percent_encoded_name_counts_as_a_second_one(wire, name):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{PAGE}&jwt={token}&{name}={token}")).status == 401


async def test_credential_that_is_empty_counts_as_a_second_one(wire):
    assert (await wire.send(f"JWT {wire.token('GET', PAGE)}", "GET", f"{PAGE}&jwt=")).status == 401


async def test_credentials_in_two_authorization_headers_are_refused(wire):
    line = ("authorization", f"JWT {wire.token('GET', PAGE)}")
    assert (await wire.ask("GET", PAGE, [line, line])).status == 401


async def test_credential_in_the_query_is_refused_beside_a_foreign_authorization_header(wire):
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
async def test_credential_scheme_jwt_has_one_spelling(wire, spelling):
    assert (await wire.send(spelling.format(wire.token("GET", PAGE)), "GET", PAGE)).status == 401


@pytest.mark.parametrize("spelling", ["session {}", "SESSION {}", "Session  {}", "Session\t{}", "Session"])
async def test_credential_scheme_session_has_one_spelling(wire, spelling):
    assert (await wire.send(spelling.format(await wire.session()), "GET", "/under_test/who")).status == 401


@pytest.mark.parametrize("name", ["JWT", "Jwt", "acpt", "token", "access_token"])
async def test_credential_is_read_from_no_other_parameter(wire, name):
    assert (await wire.ask("GET", f"{PAGE}&{name}={wire.token('GET', PAGE)}")).status == 401


async def test_credential_is_not_read_from_a_cookie(wire):
    assert (await wire.ask("GET", PAGE, [("cookie", f"jwt={wire.token('GET', PAGE)}")])).status == 401


@pytest.mark.parametrize("target", ["/under_test/open", "/nowhere"])
async def test_credential_that_is_invalid_is_refused_on_public_routes_too(wire, target):
    assert (await wire.send("JWT x.y.z", "GET", target)).status == 401


SWITCHES = [
    *("AC_OPTS", "QUART_DEBUG", "QUART_ENV", "QUART_TESTING", "FLASK_DEBUG", "FLASK_ENV", "DEBUG", "TESTING", "DEV"),
    *("NODE_ENV", "ENV", "ENVIRONMENT", "PYTHONDEVMODE", "PYTHONOPTIMIZE", "NO_AUTH", "SKIP_AUTH", "DISABLE_AUTH"),
]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.support.plugin_under_test import running_addon
from tests.support.wire import PAGE

async def main():
    async with running_addon(Path(sys.argv[1])) as wire:
        print((await wire.ask("GET", PAGE)).status, (await wire.open(PAGE)).status)

asyncio.run(main())
"""


@pytest.mark.parametrize("value", ["1", "no-auth", "development"])
async def test_credential_is_required_whatever_the_environment_sets(tmp_path, value):
    """In a process of its own, so that a switch is set before anything is imported or built."""
    changed = {name: value for name in SWITCHES if name != "PYTHONOPTIMIZE" or value == "1"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**os.environ, **changed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "401 200"


async def test_credential_repr_does_not_show_the_token():
    found = find_credential("jwt=very-secret", [])
    assert found is not None
    assert (found.place, "very-secret" in repr(found)) == (Place.QUERY, False)


async def test_credentials_are_not_repeated_in_the_refusal():
    with pytest.raises(TokenInvalid) as refused:
        find_credential("jwt=very-secret", [(b"authorization", b"JWT other-secret")])
    assert "secret" not in str(refused.value)
