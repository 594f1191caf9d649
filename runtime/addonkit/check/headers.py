"""Do pages come out with the headers that they were given, so that the product's frames show them and caches do not?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from addonkit.check.address import served, visited
from addonkit.check.context import CheckContext
from addonkit.check.http_probe import ProbeResponse
from addonkit.check.result import Remark, left_out, ok, warn, wrong
from addonkit.edge.asgi import DESCRIPTOR_PATH

NO_PAGE = "/addonkit-check"
"""A path that no plugin has; the refusal has a page's headers."""
POLICY = "content-security-policy"


async def headers(case: CheckContext) -> AsyncIterator[Remark]:
    """What a proxy adds, drops or doubles."""
    visits = visited(case)
    if not served(case, await visits.ask(case.base_url + DESCRIPTOR_PATH)):
        yield left_out("not looked at, see address")
        return
    visit = await visits.ask(case.base_url + NO_PAGE)
    if visit.fault:
        yield wrong(f"'{visit.url}' gave no answer: {visit.trouble}")
        return
    complaints = list(_complaints(visit))
    for remark in complaints or [ok("frame-ancestors and no-store come through")]:
        yield remark


def _complaints(visit: ProbeResponse) -> Iterator[Remark]:
    policies = [policy for value in visit.all(POLICY) for policy in value.split(",")]
    framing = [policy for policy in policies if "frame-ancestors" in policy]
    if not framing:
        yield wrong(
            "pages lose their 'Content-Security-Policy' with frame-ancestors on the way; have the proxy keep it"
        )
    if len(policies) > 1:
        yield wrong(
            "the proxy adds a 'Content-Security-Policy' of its own, and browsers obey both; leave it to the add-on"
        )
    if value := visit.header("x-frame-options"):
        yield wrong(
            f"the proxy adds 'X-Frame-Options: {value[:40]}', so that browsers show no page in the product; remove it"
        )
    if "no-store" not in visit.header("cache-control"):
        yield warn(
            "pages lose their 'Cache-Control: no-store' on the way, and caches may keep them; have the proxy keep it"
        )
    if visit.header("access-control-allow-origin"):
        yield warn("the proxy adds 'Access-Control-Allow-Origin', which opens pages to other sites; remove it")
