"""Do the servers of the host's install keys answer as they should, so that sites can install?"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

from addonkit.check.address import visited
from addonkit.check.context import CheckContext
from addonkit.check.http_probe import ProbeResponse
from addonkit.check.result import Remark, left_out, ok, warn, wrong
from addonkit.protocol.urls import is_loopback

UNKNOWN_KEY = f"addonkit-check-{secrets.token_hex(8)}"
"""The name of no key; a new one each time, which no cache can know."""


async def key_hosts(case: CheckContext) -> AsyncIterator[Remark]:
    """Each is asked for a key that it does not have, to which it says 404."""
    visits = await asked_key_hosts(case)
    if not visits:
        yield left_out("not asked: on loopback only a simulated host installs the add-on")
        return
    troubles = [trouble for visit in visits if (trouble := _trouble(visit))]
    if well := [_name(visit) for visit in visits if not _trouble(visit)]:
        yield ok(f"{' and '.join(well)} {'answers' if len(well) == 1 else 'answer'}")
    for trouble in troubles:
        # while one of them answers, sites whose key it has can install
        yield warn(trouble) if well else wrong(trouble)
    if not well:
        yield wrong("without a key nobody can install")


async def asked_key_hosts(case: CheckContext) -> Sequence[ProbeResponse]:
    """What each of them answers; on loopback the world's own are left in peace."""
    hosts = [url.rstrip("/") for url in case.deployment.settings.host.install_keys]
    wanted = [url for url in hosts if is_loopback(url) or not case.is_at_home()]
    return await asyncio.gather(*(visited(case).ask(f"{url}/{UNKNOWN_KEY}") for url in wanted))


def _trouble(visit: ProbeResponse) -> str | None:
    if visit.fault:
        return f"'{_name(visit)}' cannot be asked: {visit.trouble}; let this machine reach it by https"
    if visit.status != 404:
        return (
            f"'{_name(visit)}' answers {visit.status} for a key that does not exist, expected 404; look at [host] "
            "install_keys"
        )
    return None


def _name(visit: ProbeResponse) -> str:
    return urlsplit(visit.url).netloc
