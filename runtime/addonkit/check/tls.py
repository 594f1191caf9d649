"""May the base URL's certificate be trusted, for how long, and is nothing older than TLS 1.2 taken?"""

from __future__ import annotations

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from addonkit.check.address import visited
from addonkit.check.context import CheckContext
from addonkit.check.http_probe import TIMEOUT_S, Channel, Fault, ProbeResponse
from addonkit.check.result import Remark, left_out, ok, warn, wrong
from addonkit.edge.asgi import DESCRIPTOR_PATH

WARN_DAYS = 21
DAY_S = 86400
YEAR_S = 31_536_000
"""Source: the host asks for HSTS of at least a year."""


async def tls(case: CheckContext) -> AsyncIterator[Remark]:
    """What a first visitor meets before any HTTP is spoken."""
    if not case.base_url.startswith("https://"):
        yield left_out("the base URL is http, on loopback")
        return
    visit = await visited(case).ask(case.base_url + DESCRIPTOR_PATH)
    if visit.fault is Fault.CERTIFICATE:
        yield wrong(f"'{case.host}': {visit.trouble}; serve one for this name, in date, with its whole chain")
    elif visit.fault is Fault.TLS:
        yield wrong(f"'{case.host}': {visit.trouble}; look whether it speaks plain HTTP, or TLS below 1.2")
    elif visit.channel is None:
        yield left_out("not looked at, see address")
    else:
        yield _ending(visit.channel, case.now())
        for remark in _pinned(visit):
            yield remark
        if await _takes_old_protocols(case.base_url):
            yield warn("it takes TLS 1.1 as well; the host demands 1.2 or later, so switch older ones off")


def _ending(channel: Channel, now: float) -> Remark:
    days = int((channel.ends_at - now) // DAY_S)
    if days < WARN_DAYS:
        return warn(f"{channel.version}, the certificate ends in {days} days; renew it")
    return ok(f"{channel.version}, the certificate is good for {days} days")


def _pinned(visit: ProbeResponse) -> list[Remark]:
    """Whether browsers are told to come by https alone."""
    told = visit.header("strict-transport-security")
    age = re.search(r"max-age=\"?([0-9]+)", told)
    if age is None:
        return [warn("'Strict-Transport-Security' is missing; a proxy drops it or another program answers")]
    if int(age[1]) < YEAR_S:
        return [warn(f"'Strict-Transport-Security' says {age[1]} seconds, expected {YEAR_S} or more")]
    return []


async def _takes_old_protocols(url: str) -> bool:
    place = urlsplit(url)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(place.hostname, place.port or 443, ssl=_old_protocols())
            writer.transport.abort()
            return True
    except (OSError, ssl.SSLError):
        return False


def _old_protocols() -> ssl.SSLContext:
    """What speaks nothing newer than TLS 1.1; nothing is sent over it, so that it need not trust anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # by its default level OpenSSL does not speak what we ask whether others do
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context
