"""The check of TLS at the base URL."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from addonkit.check import CheckContext, HttpProbe, run_checks
from addonkit.check.context import summarize
from addonkit.check.run import REMOTE

from tests.support.checks import (
    Outside,
    with_headers,
)
from tests.support.public_address import Authority

OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")


TLS_FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a foreign name": ({"names": ("www.example.com",)}, "wrong", "Hostname mismatch"),
    "an end in the past": ({"days": -1}, "wrong", "certificate has expired"),
    "an end soon": ({"days": 20.5}, "warn", "the certificate expires in 20 days; renew it"),
    "an old protocol": ({"oldest": ssl.TLSVersion.TLSv1_1}, "warn", "it also accepts TLS 1.0 or 1.1"),
}


@OLD
@pytest.mark.parametrize("case", TLS_FAULTS)
async def test_tls_faults_are_reported(outside: Outside, case: str) -> None:
    changes, state, expected = TLS_FAULTS[case]
    for name, value in changes.items():
        setattr(outside, name, value)
    found = await outside.check("tls")
    assert found.state == state
    assert expected in found.message


async def test_tls_certificate_of_an_unknown_authority_is_wrong(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with outside.case() as case, HttpProbe(Authority(tmp_path / "other").trusting(), timeout_s=30) as probe:
        found = [one async for one in run_checks(CheckContext(case.deployment, probe))]
    results = {one.check: one for one in found}
    assert results["tls"].state == "wrong"
    assert "its certificate is not trusted: unable to get local issuer certificate" in results["tls"].message
    assert results["address"].message.startswith("skipped, see tls")


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
    ("value", "expected"),
    [("", "'Strict-Transport-Security' is missing"), ("max-age=600", "is 600 seconds, expected 31536000 or more")],
)
async def test_tls_without_strict_transport_security_is_a_warning(outside: Outside, value: str, expected: str) -> None:
    found = await outside.check("tls", with_headers(strict_transport_security=value))
    assert found.state == "warn"
    assert expected in found.message
