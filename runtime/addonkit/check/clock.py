"""Is this machine's clock that of the others? Tokens are good for minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from addonkit.check.address import visited
from addonkit.check.context import CheckContext
from addonkit.check.key_hosts import asked_key_hosts
from addonkit.check.result import Remark, left_out, ok, warn, wrong
from addonkit.edge.asgi import DESCRIPTOR_PATH

WARN_S = 5


async def clock(case: CheckContext) -> AsyncIterator[Remark]:
    """Our clock against the ``Date`` of the base URL's answer and of the key hosts'."""
    visits = [*await asked_key_hosts(case), await visited(case).ask(case.base_url + DESCRIPTOR_PATH)]
    told = {
        urlsplit(visit.url).netloc: difference
        for visit in visits
        if (difference := visit.clock_difference_s()) is not None
    }
    if not told:
        yield left_out("nobody told the time")
        return
    name, difference = max(told.items(), key=lambda one: abs(one[1]))
    leeway_s = case.deployment.settings.host.clock_leeway_s
    if abs(difference) <= min(WARN_S, leeway_s or 1):
        yield ok(f"as that of {' and '.join(told)}")
        return
    said = f"this machine's clock is {abs(difference):.0f} s {'behind' if difference > 0 else 'ahead of'} '{name}'"
    if abs(difference) > leeway_s:
        yield wrong(
            f"{said}, and [host] clock_leeway_s is {leeway_s}, so that tokens are refused; let NTP set the clock"
        )
    else:
        yield warn(f"{said}; let NTP set the clock")
