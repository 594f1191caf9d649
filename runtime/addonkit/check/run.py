"""The looks, and in which order they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from addonkit.check.address import address
from addonkit.check.clock import clock
from addonkit.check.configuration import configuration
from addonkit.check.contents import descriptor, plugins
from addonkit.check.context import CheckContext
from addonkit.check.database import database
from addonkit.check.headers import headers
from addonkit.check.key_hosts import key_hosts
from addonkit.check.keys import keys
from addonkit.check.listener import listener
from addonkit.check.result import Finding, Remark, State, summed_up
from addonkit.check.scopes import scopes
from addonkit.check.tls import tls
from addonkit.errors import AddonkitError
from addonkit.log import structlog

log = structlog.get_logger()

Look = Callable[[CheckContext], AsyncIterator[Remark]]

HERE: Mapping[str, Look] = {
    "configuration": configuration,
    "plugins": plugins,
    "descriptor": descriptor,
    "scopes": scopes,
    "keys": keys,
    "database": database,
    "listener": listener,
}
"""Looks that need no network beyond the database's."""
OUTSIDE: Mapping[str, Look] = {
    "address": address,
    "tls": tls,
    "headers": headers,
    "key-hosts": key_hosts,
    "clock": clock,
}
"""Looks at the add-on, and at what it needs of the host, from outside."""


async def run_checks(case: CheckContext) -> AsyncIterator[Finding]:
    """Look at everything; what one look has told is not told again.

    Args:
        case: Without visits, the looks from outside are left out.
    """
    told: dict[str, str] = {}
    for name, look in HERE.items():
        yield _once(told, await _findings(name, look, case))
    if case.visits is None:
        return
    asking = [asyncio.create_task(_findings(name, look, case)) for name, look in OUTSIDE.items()]
    for finding in await asyncio.gather(*asking):
        yield _once(told, finding)


async def _findings(name: str, look: Look, case: CheckContext) -> Finding:
    try:
        return summed_up(name, [remark async for remark in look(case)])
    except AddonkitError as problem:
        return Finding(name, State.WRONG, str(problem))
    except Exception as fault:
        # the other looks are worth having all the same
        log.debug("look failed", look=name, exc_info=True)
        said = f"could not be looked at ({type(fault).__name__}); with [log] level at 'debug' it is told where"
        return Finding(name, State.WRONG, said)


def _once(told: dict[str, str], finding: Finding) -> Finding:
    """The finding, or a word on which look has told it already."""
    first = told.setdefault(finding.said, finding.look) if finding.state is State.WRONG else finding.look
    return finding if first == finding.look else Finding(finding.look, State.LEFT_OUT, f"not looked at, see {first}")
