"""Can the database be used, and does it have what this release expects?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from addonkit.app.migrate import pending_steps
from addonkit.check.context import CheckContext
from addonkit.check.postgresql import asked, judged
from addonkit.check.result import Remark, ok, warn


async def database(case: CheckContext) -> AsyncIterator[Remark]:
    """Where it is, what it lacks, and on PostgreSQL how far the wall between sites stands.

    Raises:
        AddonkitError: It cannot be used.
    """
    location = case.deployment.location
    location.check_usable()
    server = await asked(location) if location.is_postgres else None
    # in a thread, for it waits for an answer
    steps = await asyncio.to_thread(pending_steps, case.deployment)
    yield ok(f"{location}{f', PostgreSQL {server.version}' if server else ''}{'' if steps else '; up to date'}")
    if steps:
        named = ", ".join(steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
        yield warn(f"{len(steps)} steps pending ({named}); 'addonkit serve' or 'addonkit migrate' applies them")
    for remark in judged(location, server) if server else ():
        yield remark
