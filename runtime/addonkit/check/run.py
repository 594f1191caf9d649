"""All checks, in the order in which their results are reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from addonkit.check.address import address, clock, headers, key_hosts
from addonkit.check.configuration import configuration, descriptor, listener, plugins, scopes
from addonkit.check.context import CheckContext, Result, State, skipped, summarize, wrong
from addonkit.check.database import database, keys
from addonkit.check.outgoing import outgoing
from addonkit.check.tls import tls
from addonkit.errors import AddonkitError
from addonkit.log import structlog

log = structlog.get_logger()

Check = Callable[[CheckContext], AsyncIterator[Result]]

LOCAL: Mapping[str, Check] = {
    "configuration": configuration,
    "plugins": plugins,
    "descriptor": descriptor,
    "scopes": scopes,
    "keys": keys,
    "database": database,
    "listener": listener,
    "outgoing": outgoing,
}
"""Checks that use no network, except for the database."""
REMOTE: Mapping[str, Check] = {
    "address": address,
    "tls": tls,
    "headers": headers,
    "key-hosts": key_hosts,
    "clock": clock,
}
"""Checks that send HTTP requests to the base URL and to the key hosts."""


async def run_checks(context: CheckContext) -> AsyncIterator[Result]:
    """Run all checks; a message that an earlier check has reported is not repeated.

    Args:
        context: The deployment; without a probe, the remote checks do not run.
    """
    reported: dict[str, str] = {}
    for name, check in LOCAL.items():
        yield _without_repeat(reported, await _run(name, check, context))
    if context.probe is None:
        return
    running = [asyncio.create_task(_run(name, check, context)) for name, check in REMOTE.items()]
    for result in await asyncio.gather(*running):
        yield _without_repeat(reported, result)


async def _run(name: str, check: Check, context: CheckContext) -> Result:
    try:
        return summarize(name, [result async for result in check(context)])
    except AddonkitError as error:
        return wrong(str(error), name)
    except Exception as error:
        # The other checks still run.
        log.debug("check.failed", check=name, exc_info=True)
        message = f"the check itself failed ({type(error).__name__}); set [log] level to 'debug' for the traceback"
        return wrong(message, name)


def _without_repeat(reported: dict[str, str], result: Result) -> Result:
    """Return the result, or a reference to an earlier check that has reported the same error."""
    first = reported.setdefault(result.message, result.check) if result.state is State.WRONG else result.check
    return result if first == result.check else skipped(f"skipped, see {first}", result.check)
