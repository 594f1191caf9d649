"""Checks of an add-on from outside: over TLS, through a proxy, with its key hosts."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from addonkit.app import Addon
from addonkit.check import CheckContext, HttpProbe, Result, run_checks
from addonkit.check.context import summarize
from addonkit.check.run import REMOTE
from addonkit.settings import parse_key

from tests.support.plugin_under_test import deployment
from tests.support.public_address import NAME, Authority, Plain, bind, public, resolve_to_loopback

KEY_HOST = "keys.example.com"
KEY = f"test:{'A' * 43}="
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")
Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class Outside:
    """An add-on with a public name, and a probe that trusts the authority of its certificate.

    Attributes:
        directory: For files.
        authority: Makes the certificates.
        path: Of the base URL.
        stripped: Whether the add-on believes that a proxy takes that path off.
        names: Of the certificate.
        days: For which the certificate is good.
        oldest: The oldest TLS that is spoken.
        key_host: Who answers for install keys.
        leeway_s: For the clock.
    """

    directory: Path
    authority: Authority
    path: str = ""
    stripped: bool = False
    names: tuple[str, ...] = (NAME,)
    days: float = 90
    oldest: ssl.TLSVersion | None = None
    key_host: Application = field(default_factory=lambda: Plain(404, {}))
    leeway_s: int = 30

    async def check(self, name: str, before: Callable[[Addon], Application] = lambda addon: addon) -> Result:
        """The result of one check.

        Args:
            look: Its name.
            before: Gives what is served: the add-on, or what stands before or in place of it.
        """
        async with self.case(before) as case:
            return summarize(name, [result async for result in REMOTE[name](case)])

    @asynccontextmanager
    async def case(self, before: Callable[[Addon], Application] = lambda addon: addon) -> AsyncIterator[CheckContext]:
        """The deployment that is checked, while it is served."""
        ours, keys = bind(), bind()
        made_of = self.deployment(ours.getsockname()[1], keys.getsockname()[1])
        certificate = self.authority.certify(*self.names, days=self.days)
        async with (
            public(before(Addon(made_of)), ours, certificate, self.oldest),
            public(self.key_host, keys, self.authority.certify(KEY_HOST)),
            HttpProbe(self.authority.trusting(), timeout_s=30) as probe,
        ):
            yield CheckContext(made_of, probe)

    def deployment(self, port: int, key_port: int, **addon: Any) -> Any:
        """The deployment at a port."""
        return deployment(
            self.directory,
            addon={"base_url": f"https://{NAME}:{port}{self.path}", **addon},
            host={
                "install_keys": [f"https://{KEY_HOST}:{key_port}"],
                "domains": ["*.atlassian.net"],
                "clock_leeway_s": self.leeway_s,
            },
            security={"encryption_keys": [KEY]},
            server={"base_path_stripped": self.stripped},
        )


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    resolve_to_loopback(monkeypatch, NAME, KEY_HOST)
    return Outside(tmp_path, Authority(tmp_path))


def with_headers(**headers: str) -> Callable[[Addon], Application]:
    """A proxy that adds headers, or replaces them; an empty one is dropped."""

    def before(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    changed = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
                    kept = [(name, value) for name, value in message["headers"] if name not in changed]
                    message = {**message, "headers": [*kept, *((n, v) for n, v in changed.items() if v)]}
                await send(message)

            await addon(scope, receive, sending)

        return proxy

    return before


def with_path(change: Callable[[str], str]) -> Callable[[Addon], Application]:
    """A proxy that changes the path."""

    def before(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            path = change(scope["path"])
            await addon({**scope, "path": path, "raw_path": path.encode()}, receive, send)

        return proxy

    return before


def instead(status: int, body: bytes = b"", **headers: str) -> Callable[[Addon], Application]:
    """Another program in the add-on's place."""
    return lambda _: Plain(status, headers, body)


async def test_address_of_the_add_on_itself_is_recognised(outside: Outside) -> None:
    found = await outside.check("address")
    assert found.state == "warn"
    assert found.message.endswith(
        "/atlassian-connect.json serves the descriptor of this configuration; the host fetches descriptors from the "
        "ports 80, 443 and 8080 only"
    )


async def test_remote_checks_all_run_and_pass(outside: Outside) -> None:
    async with outside.case() as case:
        found = {one.check: one async for one in run_checks(case)}
    assert [found[name].state.value for name in REMOTE] == ["warn", "ok", "ok", "ok", "ok"], found


WRONG: dict[str, tuple[Callable[[Addon], Application], str]] = {
    "a redirect": (
        instead(301, location="https://www.example.com/?jwt=x"),
        "redirects to 'https://www.example.com/', and the host follows no redirects",
    ),
    "another page": (instead(200, b"<html>"), "does not serve a descriptor; another program listens there"),
    "another object": (instead(200, b"{}"), "does not serve a descriptor; another program listens there"),
    "another program": (instead(404, b"not here"), "another program responds with 404 to "),
    "another add-on": (
        instead(200, b'{"key": "com.example.other"}'),
        "serves a descriptor with the key 'com.example.other', expected 'com.example.test'",
    ),
    "another base URL": (
        instead(200, b'{"key": "com.example.test", "baseUrl": "https://old.example.com"}'),
        "serves a descriptor with the baseUrl 'https://old.example.com', expected 'https://kit.example.com:",
    ),
    "an empty proxy": (instead(502), "responds with 502; start the add-on behind it"),
    "a path that a proxy adds": (with_path(lambda path: f"/kit{path}"), "as if it were not below its base URL"),
    "endless answers": (instead(200, b"x" * 2_000_000), "its response is larger than 1048576 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_address_served_by_something_else_is_explained(outside: Outside, case: str) -> None:
    before, said = WRONG[case]
    found = await outside.check("address", before)
    assert found.state == "wrong"
    assert said in found.message


async def test_address_behind_a_proxy_that_removes_the_path_names_the_setting(outside: Outside) -> None:
    outside.path = "/kit"
    found = await outside.check("address", with_path(lambda path: path.removeprefix("/kit")))
    assert found.state == "wrong"
    assert "a proxy removes the path '/kit' of the base URL" in found.message
    assert "set [server] base_path_stripped to true" in found.message


async def test_address_behind_a_proxy_that_keeps_the_path_names_the_setting(outside: Outside) -> None:
    outside.path, outside.stripped = "/kit", True
    found = await outside.check("address")
    assert found.state == "wrong"
    assert "[server] base_path_stripped is true, but no proxy removes the path '/kit'" in found.message


@pytest.mark.parametrize(("stripped", "change"), [(False, "/kit"), (True, "")])
async def test_address_with_a_path_handled_as_configured_is_ok(outside: Outside, stripped: bool, change: str) -> None:
    outside.path, outside.stripped = "/kit", stripped
    found = await outside.check("address", with_path(lambda path: change + path.removeprefix("/kit")))
    assert "serves the descriptor of this configuration" in found.message


async def test_address_that_serves_an_older_release_lists_what_it_lacks(outside: Outside) -> None:
    def older(addon: Addon) -> Addon:
        settings = addon.deployment.settings.addon
        port = int(settings.base_url.rpartition(":")[2])
        return Addon(outside.deployment(port, 1, plugins=["neighbour"], name="Old"))

    found = await outside.check("address", older)
    assert found.state == "warn"
    assert "lacks generalPages 'under-test-overview', lacks jiraIssueContents 'under-test-page'" in found.message
    assert "an older release or configuration is running there, restart it" in found.message


async def test_address_whose_name_cannot_be_resolved_is_wrong(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outside.case() as case:
        resolve_to_loopback(monkeypatch, KEY_HOST)
        monkeypatch.setattr("socket.getaddrinfo", _nobody)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    assert found.state == "wrong"
    assert (
        "its name cannot be resolved from this machine (Name or service not known); create a DNS record for this name"
        in found.message
    )


def _nobody(*_args: Any, **_options: Any) -> Any:
    import socket

    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_address_that_refuses_connections_is_wrong(outside: Outside) -> None:
    async with HttpProbe(outside.authority.trusting(), timeout_s=30) as probe:
        case = CheckContext(outside.deployment(1, 1), probe)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    assert found.state == "wrong"
    assert (
        "cannot be reached from this machine: the connection failed (connection refused); start the add-on"
        in found.message
    )


async def test_probe_gives_up_on_an_address_that_never_responds(outside: Outside) -> None:
    silent = bind()
    silent.listen()
    async with HttpProbe(outside.authority.trusting(), timeout_s=0.2) as probe:
        case = CheckContext(outside.deployment(silent.getsockname()[1], 1), probe)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    silent.close()
    assert "it did not respond within 0.2 s" in found.message


TLS_FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a foreign name": ({"names": ("www.example.com",)}, "wrong", "Hostname mismatch"),
    "an end in the past": ({"days": -1}, "wrong", "certificate has expired"),
    "an end soon": ({"days": 20.5}, "warn", "the certificate expires in 20 days; renew it"),
    "an old protocol": ({"oldest": ssl.TLSVersion.TLSv1_1}, "warn", "it also accepts TLS 1.1"),
}


@OLD
@pytest.mark.parametrize("case", TLS_FAULTS)
async def test_tls_faults_are_reported(outside: Outside, case: str) -> None:
    changes, state, said = TLS_FAULTS[case]
    for name, value in changes.items():
        setattr(outside, name, value)
    found = await outside.check("tls")
    assert found.state == state
    assert said in found.message


async def test_tls_certificate_of_an_unknown_authority_is_wrong(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with outside.case() as case, HttpProbe(Authority(tmp_path / "other").trusting(), timeout_s=30) as probe:
        found = [one async for one in run_checks(CheckContext(case.deployment, probe))]
    told = {one.check: one for one in found}
    assert told["tls"].state == "wrong"
    assert "its certificate is not trusted: unable to get local issuer certificate" in told["tls"].message
    assert told["address"].message.startswith("skipped, see tls")


async def test_tls_check_recognises_plain_http_at_an_https_address(outside: Outside) -> None:
    import asyncio

    async def plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plainly, "127.0.0.1", 0)
    async with server, HttpProbe(outside.authority.trusting(), timeout_s=30) as probe:
        case = CheckContext(outside.deployment(server.sockets[0].getsockname()[1], 1), probe)
        found = summarize("tls", [result async for result in REMOTE["tls"](case)])
    assert found.state == "wrong"
    assert "check whether it serves plain HTTP" in found.message


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "'Strict-Transport-Security' is missing"), ("max-age=600", "is 600 seconds, expected 31536000 or more")],
)
async def test_tls_without_strict_transport_security_is_a_warning(outside: Outside, value: str, said: str) -> None:
    found = await outside.check("tls", with_headers(strict_transport_security=value))
    assert found.state == "warn"
    assert said in found.message


HEADERS: dict[str, tuple[dict[str, str], str, str]] = {
    "framing forbidden": ({"x_frame_options": "SAMEORIGIN"}, "wrong", "adds 'X-Frame-Options: SAMEORIGIN'"),
    "a policy dropped": ({"content_security_policy": ""}, "wrong", "removes 'Content-Security-Policy'"),
    "a policy more": (
        {"content_security_policy": "frame-ancestors https://*.atlassian.net, default-src 'self'"},
        "wrong",
        "adds its own 'Content-Security-Policy'",
    ),
    "caching": ({"cache_control": "public, max-age=60"}, "warn", "removes 'Cache-Control: no-store'"),
    "open to others": ({"access_control_allow_origin": "*"}, "warn", "adds 'Access-Control-Allow-Origin'"),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_headers_changed_by_a_proxy_are_reported(outside: Outside, case: str) -> None:
    changes, state, said = HEADERS[case]
    found = await outside.check("headers", with_headers(**changes))
    assert found.state == state
    assert said in found.message


async def test_headers_of_another_program_are_skipped(outside: Outside) -> None:
    found = await outside.check("headers", instead(200, b"{}"))
    assert (found.state, found.message) == ("-", "skipped, see address")


@pytest.mark.parametrize(("status", "state"), [(404, "ok"), (200, "wrong"), (403, "wrong"), (500, "wrong")])
async def test_key_host_must_respond_with_404_for_an_unknown_key(outside: Outside, status: int, state: str) -> None:
    outside.key_host = Plain(status, {})
    found = await outside.check("key-hosts")
    assert found.state == state
    assert (f"responds with {status} for a key that does not exist" in found.message) == (status != 404)


async def test_key_host_that_is_down_is_a_warning_while_another_one_works(outside: Outside) -> None:
    async with outside.case() as case:
        host = case.deployment.settings.host
        more = host.model_copy(update={"install_keys": [*host.install_keys, "https://gone.example.com"]})
        case.deployment.settings = case.deployment.settings.model_copy(update={"host": more})
        found = summarize("key-hosts", [result async for result in REMOTE["key-hosts"](case)])
    assert found.state == "warn"
    assert "'gone.example.com' cannot be reached: its name cannot be resolved from this machine" in found.message


def dated(difference_s: int, **headers: str) -> Application:
    """A key host with another clock."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        date = formatdate(time.time() + difference_s, usegmt=True)
        await Plain(404, {"date": date, **headers})(scope, receive, send)

    return answer


CLOCKS: dict[str, tuple[int, int, str, str]] = {
    "together": (0, 30, "ok", "clock agrees with "),
    "a little behind": (20, 30, "warn", "s behind 'keys.example.com"),
    "a little ahead": (-20, 30, "warn", "s ahead of 'keys.example.com"),
    "beyond the leeway": (60, 30, "wrong", "and [host] clock_leeway_s is 30, so tokens are refused"),
    "beyond a short leeway": (4, 2, "wrong", "and [host] clock_leeway_s is 2"),
}


@pytest.mark.parametrize("case", CLOCKS)
async def test_clock_is_compared_with_the_key_hosts(outside: Outside, case: str) -> None:
    difference, outside.leeway_s, state, said = CLOCKS[case]
    outside.key_host = dated(difference)
    found = await outside.check("clock")
    assert found.state == state
    assert said in found.message


async def test_clock_check_adds_the_age_of_a_cached_response(outside: Outside) -> None:
    outside.key_host = dated(-3600, age="3600")
    assert (await outside.check("clock")).state == "ok"


async def test_probe_sends_neither_credentials_nor_cookies(outside: Outside) -> None:
    seen: list[Any] = []

    def noting(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            seen.extend(scope["headers"])
            await addon(scope, receive, send)

        return proxy

    async with outside.case(noting) as case:
        async for _ in run_checks(case):
            pass
    assert {name for name, _ in seen} <= {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent"}
    assert parse_key(KEY)[0]
