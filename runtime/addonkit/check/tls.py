"""Check of TLS at the base URL: the certificate is trusted and not about to expire, and only TLS 1.2 or later works."""

from __future__ import annotations

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from addonkit.check.context import CheckContext, Result, ok, skipped, warn, wrong
from addonkit.check.http_probe import TIMEOUT_S, Fault, ProbeResponse, TlsSession

WARN_DAYS = 21
DAY_S = 86400
MIN_HSTS_S = 31_536_000
"""Source: the host requires HSTS of at least a year."""


async def tls(context: CheckContext) -> AsyncIterator[Result]:
    """Check the certificate, the TLS versions and ``Strict-Transport-Security`` at the base URL."""
    if not context.base_url.startswith("https://"):
        yield skipped("the base URL is http, on loopback")
        return
    response = await context.get_descriptor()
    if response.fault is Fault.CERTIFICATE:
        yield wrong(
            f"'{context.hostname}': {response.reason}; serve a valid certificate for this name with its whole chain"
        )
    elif response.fault is Fault.TLS:
        yield wrong(
            f"'{context.hostname}': {response.reason}; check whether it serves plain HTTP, or TLS older than 1.2"
        )
    elif response.tls is None:
        yield skipped("skipped, see address")
    else:
        yield _expiry(response.tls, context.now())
        for result in _hsts(response):
            yield result
        if await _accepts_old_protocols(context.base_url):
            yield warn("it also accepts TLS 1.0 or 1.1; the host requires 1.2 or later, so disable older versions")


def _expiry(session: TlsSession, now: float) -> Result:
    days = int((session.expires_at - now) // DAY_S)
    if days < WARN_DAYS:
        return warn(f"{session.version}, the certificate expires in {days} days; renew it")
    return ok(f"{session.version}, the certificate is valid for {days} days")


def _hsts(response: ProbeResponse) -> list[Result]:
    age = re.search(r"max-age=\"?([0-9]+)", response.header("strict-transport-security"))
    if age is None:
        return [warn("'Strict-Transport-Security' is missing; a proxy removes it, or another program responds")]
    if int(age[1]) < MIN_HSTS_S:
        return [warn(f"'Strict-Transport-Security' is {age[1]} seconds, expected {MIN_HSTS_S} or more")]
    return []


async def _accepts_old_protocols(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=_old_protocols())
            writer.transport.abort()
            return True
    except (OSError, ssl.SSLError):
        return False


def _old_protocols() -> ssl.SSLContext:
    """Return a context for TLS 1.0 and 1.1 only. Nothing is sent over it, so it verifies no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # At its default security level, OpenSSL offers none of the versions that are tried here.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context
