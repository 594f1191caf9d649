"""Is the base URL answered from outside, by this very add-on?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from addonkit.check.context import CheckContext
from addonkit.check.http_probe import Fault, HttpProbe, ProbeResponse
from addonkit.check.result import Remark, State, left_out, ok, warn, wrong
from addonkit.edge.asgi import DESCRIPTOR_PATH
from addonkit.protocol.urls import origin, path_of

HOST_PORTS = (None, 80, 443, 8080)
"""Source: the host fetches descriptors from these ports alone."""
REMEDIES = {
    Fault.NAME: "make a record for that name, or mend [addon] base_url",
    Fault.REFUSED: "start the add-on and the proxy before it, and open the port",
    Fault.SILENT: "start the add-on, and look for a firewall on the way",
    Fault.BROKEN: "look what listens there",
}
Document = Mapping[str, Any]


async def address(case: CheckContext) -> AsyncIterator[Remark]:
    """Who answers at the base URL; on loopback, where little depends on it, nothing is worse than a warning."""
    visits = visited(case)
    visit = await visits.ask(case.base_url + DESCRIPTOR_PATH)
    remark = await _judged(case, visits, visit)
    yield warn(remark.said) if case.is_at_home() and remark.state is State.WRONG else remark
    if urlsplit(case.base_url).port not in HOST_PORTS and not case.is_at_home():
        yield warn("the host fetches descriptors from the ports 80, 443 and 8080 alone")


def visited(case: CheckContext) -> HttpProbe:
    """The case's visits, for looks that are left out without them."""
    assert case.visits is not None, "looks from outside want visits"  # noqa: S101 - a mistake of ours, not a state
    return case.visits


def served(case: CheckContext, visit: ProbeResponse) -> Document | None:
    """The descriptor that was answered, if it is one of this add-on, of whatever release."""
    document = _document(visit)
    return document if document and document.get("key") == case.deployment.settings.addon.key else None


async def _judged(case: CheckContext, visits: HttpProbe, visit: ProbeResponse) -> Remark:
    if visit.fault in (Fault.CERTIFICATE, Fault.TLS):
        return left_out("not looked at, see tls")
    if visit.fault is not None:
        if case.is_at_home():
            return left_out(f"'{case.base_url}' is not served now: {visit.trouble}")
        return wrong(f"'{case.base_url}' cannot be reached from here: {visit.trouble}; {REMEDIES[visit.fault]}")
    if 300 <= visit.status < 400:
        return wrong(
            f"'{visit.url}' redirects to '{_plain(visit.header('location'))}', and the host follows no redirect; name "
            "the address that answers by itself in [addon] base_url"
        )
    if visit.status == 200:
        return _compared(case, visit)
    if visit.status in (502, 503, 504):
        return wrong(f"the proxy at '{case.base_url}' answers {visit.status}; start the add-on behind it")
    return await _astray(case, visits, visit)


def _compared(case: CheckContext, visit: ProbeResponse) -> Remark:
    if visit.body == case.deployment.descriptor.body:
        return ok(f"{visit.url} serves this very descriptor")
    document, ours = _document(visit), case.deployment.descriptor.document
    if document is None or "key" not in document:
        return wrong(f"'{visit.url}' answers with no descriptor; another program listens there")
    for field in ("key", "baseUrl"):
        if document.get(field) != ours[field]:
            return wrong(
                f"'{visit.url}' serves a descriptor with the {field} '{document.get(field)}', expected "
                f"'{ours[field]}'; another add-on or another configuration is served there"
            )
    return warn(
        f"{visit.url} serves another descriptor than this configuration makes ({_difference(document, ours)}); an "
        "older release or configuration still runs there, restart it"
    )


async def _astray(case: CheckContext, visits: HttpProbe, visit: ProbeResponse) -> Remark:
    """An answer to something that was not asked: the base URL's path may have been changed on the way."""
    path = path_of(case.base_url)
    stripped = case.deployment.settings.server.base_path_stripped
    if path and not stripped and served(case, await visits.ask(case.base_url + path + DESCRIPTOR_PATH)):
        return wrong(
            f"a proxy takes the path '{path}' of the base URL off before the add-on sees it; set [server] "
            "base_path_stripped to true, or have the proxy keep the path"
        )
    if path and stripped and served(case, await visits.ask(origin(case.base_url) + DESCRIPTOR_PATH)):
        return wrong(
            f"[server] base_path_stripped is true, and no proxy takes the path '{path}' off; set it to false, or have "
            "the proxy take it off"
        )
    if _is_of_our_kind(visit):
        setting = f"[server] base_path_stripped is {str(stripped).lower()}; " if path else ""
        return wrong(
            f"an add-on answers {visit.status} to '{visit.url}', as if that were not below its base URL; {setting}look "
            "what the proxy makes of the path, and at [addon] base_url of the process there"
        )
    return wrong(
        f"'{visit.url}' is answered with {visit.status} by another program; look where the proxy sends '{path or '/'}'"
    )


def _document(visit: ProbeResponse) -> Document | None:
    try:
        found = orjson.loads(visit.body) if visit.status == 200 else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _is_of_our_kind(visit: ProbeResponse) -> bool:
    """Whether a refusal is an addonkit's: it says the same request id in its header and its body."""
    return bool(request_id := visit.header("x-request-id")) and request_id.encode() in visit.body


def _plain(url: str) -> str:
    """An address without its query, which may hold anything."""
    return url.partition("?")[0][:200]


def _difference(there: Document, ours: Document) -> str:
    """What two descriptors of one add-on do not share."""
    missing = [f"lacks {name}" for name in sorted(_modules(ours) - _modules(there))]
    more = [f"has {name}" for name in sorted(_modules(there) - _modules(ours))]
    fields = [
        f"another '{name}'" for name in sorted({*there, *ours} - {"modules"}) if there.get(name) != ours.get(name)
    ]
    told = [*missing, *more, *fields] or ["modules that read otherwise"]
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def _modules(document: Document) -> set[str]:
    """Kind and key of each module."""
    return {
        f"{kind} '{one.get('key', one.get('url', ''))}'" if isinstance(one, Mapping) else kind
        for kind, held in document.get("modules", {}).items()
        for one in (held if isinstance(held, list) else [held])
    }
