"""Checks over the network: the response at the base URL, changes by a proxy, the key hosts, and the clock."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from addonkit.check.context import CheckContext, Result, State, ok, skipped, warn, wrong
from addonkit.check.http_probe import Fault, ProbeResponse
from addonkit.edge.asgi import DESCRIPTOR_PATH
from addonkit.protocol.urls import is_loopback, origin, path_of

HOST_PORTS = (None, 80, 443, 8080)
"""Source: the host fetches descriptors from these ports only."""
REMEDIES = {
    Fault.NAME: "create a DNS record for this name, or correct [addon] base_url",
    Fault.REFUSED: "start the add-on and the proxy in front of it, and open the port",
    Fault.TIMEOUT: "start the add-on, and check the firewalls in between",
    Fault.PROTOCOL: "check which program listens there",
}
UNKNOWN_PATH = "/addonkit-check"
"""A path that no plugin has; the refusal has the same security headers as a page."""
CONTENT_SECURITY_POLICY = "content-security-policy"
UNKNOWN_KEY = f"addonkit-check-{secrets.token_hex(8)}"
"""A key id that does not exist; a new one in each process, so that no cache knows it."""
WARN_CLOCK_S = 5
Document = Mapping[str, Any]


async def address(context: CheckContext) -> AsyncIterator[Result]:
    """Check that the base URL serves the descriptor of this deployment; on loopback, report at most a warning."""
    response = await context.get_descriptor()
    result = await _judge(context, response)
    yield warn(result.message) if context.is_local() and result.state is State.WRONG else result
    if urlsplit(context.base_url).port not in HOST_PORTS and not context.is_local():
        yield warn("the host fetches descriptors from the ports 80, 443 and 8080 only")


async def _judge(context: CheckContext, response: ProbeResponse) -> Result:
    if response.fault in (Fault.CERTIFICATE, Fault.TLS):
        return skipped("skipped, see tls")
    if response.fault is not None:
        if context.is_local():
            return skipped(f"'{context.base_url}' is not being served: {response.reason}")
        if context.deployment.settings.host.proxy:
            return warn(
                f"'{context.base_url}' cannot be reached from this machine without the proxy: {response.reason}; run "
                "the check on a machine that reaches it as the host does"
            )
        return wrong(
            f"'{context.base_url}' cannot be reached from this machine: {response.reason}; {REMEDIES[response.fault]}"
        )
    if 300 <= response.status < 400:
        return wrong(
            f"'{response.url}' redirects to '{_without_query(response.header('location'))}', and the host follows no "
            "redirects; set [addon] base_url to the address that responds by itself"
        )
    if response.status == 200:
        return _compare(context, response)
    if response.status in (502, 503, 504):
        return wrong(f"the proxy at '{context.base_url}' responds with {response.status}; start the add-on behind it")
    return await _explain_status(context, response)


def _compare(context: CheckContext, response: ProbeResponse) -> Result:
    if response.body == context.deployment.descriptor.body:
        return ok(f"{response.url} serves the descriptor of this configuration")
    document, expected = _document(response), context.deployment.descriptor.document
    if document is None or "key" not in document:
        return wrong(f"'{response.url}' does not serve a descriptor; another program listens there")
    for field in ("key", "baseUrl"):
        if document.get(field) != expected[field]:
            return wrong(
                f"'{response.url}' serves a descriptor with the {field} '{document.get(field)}', expected "
                f"'{expected[field]}'; another add-on or another configuration is served there"
            )
    return warn(
        f"{response.url} serves a descriptor that differs from this configuration ({_difference(document, expected)}); "
        "an older release or configuration is running there, restart it"
    )


async def _explain_status(context: CheckContext, response: ProbeResponse) -> Result:
    """Explain an error status; the usual cause is a proxy that changes the path."""
    path = path_of(context.base_url)
    stripped = context.deployment.settings.server.base_path_stripped
    if path and not stripped and _is_served(context, await context.get(context.base_url + path + DESCRIPTOR_PATH)):
        return wrong(
            f"a proxy removes the path '{path}' of the base URL before the add-on sees it; set [server] "
            "base_path_stripped to true, or have the proxy keep the path"
        )
    if path and stripped and _is_served(context, await context.get(origin(context.base_url) + DESCRIPTOR_PATH)):
        return wrong(
            f"[server] base_path_stripped is true, but no proxy removes the path '{path}'; set it to false, or have "
            "the proxy remove it"
        )
    if _is_from_addonkit(response):
        setting = f"[server] base_path_stripped is {str(stripped).lower()}; " if path else ""
        return wrong(
            f"an add-on responds with {response.status} to '{response.url}', as if it were not below its base URL; "
            f"{setting}check how the proxy changes the path, and [addon] base_url of the process there"
        )
    return wrong(
        f"another program responds with {response.status} to '{response.url}'; check where the proxy sends "
        f"'{path or '/'}'"
    )


def _is_served(context: CheckContext, response: ProbeResponse) -> bool:
    """Whether the response is a descriptor of this add-on, of any release."""
    document = _document(response)
    return bool(document and document.get("key") == context.deployment.settings.addon.key)


def _document(response: ProbeResponse) -> Document | None:
    try:
        found = orjson.loads(response.body) if response.status == 200 else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _is_from_addonkit(response: ProbeResponse) -> bool:
    """Whether addonkit has sent a refusal: its header and its body have the same request id."""
    return bool(request_id := response.header("x-request-id")) and request_id.encode() in response.body


def _without_query(url: str) -> str:
    """An address without its query, which may hold a token."""
    return url.partition("?")[0][:200]


def _difference(served: Document, expected: Document) -> str:
    """Describe the first three differences between two descriptors of one add-on."""
    missing = [f"lacks {name}" for name in sorted(_modules(expected) - _modules(served))]
    added = [f"has {name}" for name in sorted(_modules(served) - _modules(expected))]
    fields = [
        f"another '{name}'"
        for name in sorted({*served, *expected} - {"modules"})
        if served.get(name) != expected.get(name)
    ]
    found = [*missing, *added, *fields] or ["other values in its modules"]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _modules(document: Document) -> set[str]:
    """Type and key of each module."""
    return {
        f"{kind} '{one.get('key', one.get('url', ''))}'" if isinstance(one, Mapping) else kind
        for kind, modules in document.get("modules", {}).items()
        for one in (modules if isinstance(modules, list) else [modules])
    }


async def headers(context: CheckContext) -> AsyncIterator[Result]:
    """Check which headers of a page a proxy adds, removes or repeats."""
    if not _is_served(context, await context.get_descriptor()):
        yield skipped("skipped, see address")
        return
    response = await context.get(context.base_url + UNKNOWN_PATH)
    if response.fault:
        yield wrong(f"'{response.url}' gave no response: {response.reason}")
        return
    for result in list(_header_faults(response)) or [ok("frame-ancestors and no-store arrive unchanged")]:
        yield result


def _header_faults(response: ProbeResponse) -> Iterator[Result]:
    policies = [policy for value in response.all(CONTENT_SECURITY_POLICY) for policy in value.split(",")]
    if not any("frame-ancestors" in policy for policy in policies):
        yield wrong("a proxy removes 'Content-Security-Policy' with frame-ancestors from pages; have the proxy keep it")
    if len(policies) > 1:
        yield wrong(
            "a proxy adds its own 'Content-Security-Policy', and browsers apply both; let only the add-on send one"
        )
    if value := response.header("x-frame-options"):
        yield wrong(f"a proxy adds 'X-Frame-Options: {value[:40]}', so browsers show no page in the product; remove it")
    if "no-store" not in response.header("cache-control"):
        yield warn(
            "a proxy removes 'Cache-Control: no-store' from pages, so caches may keep them; have the proxy keep it"
        )
    if response.header("access-control-allow-origin"):
        yield warn("a proxy adds 'Access-Control-Allow-Origin', which opens pages to other origins; remove it")


async def key_hosts(context: CheckContext) -> AsyncIterator[Result]:
    """Check that each key host responds with 404 to a key that does not exist."""
    responses = await _key_host_responses(context)
    if not responses:
        yield skipped("on loopback, only a simulated host installs the add-on")
        return
    faults = [fault for response in responses if (fault := _key_host_fault(response))]
    if working := [_netloc(response) for response in responses if not _key_host_fault(response)]:
        yield ok(f"{' and '.join(working)} {'responds' if len(working) == 1 else 'respond'}")
    for fault in faults:
        # If one key host works, sites whose key it has can install.
        yield warn(fault) if working else wrong(fault)
    if not working:
        yield wrong("without a key host no site can install")


async def _key_host_responses(context: CheckContext) -> Sequence[ProbeResponse]:
    """Request an unknown key from all key hosts; for an add-on on loopback, only from those on loopback."""
    hosts = [url.rstrip("/") for url in context.deployment.settings.host.install_keys]
    asked = [url for url in hosts if is_loopback(url) or not context.is_local()]
    return await asyncio.gather(*(context.get(f"{url}/{UNKNOWN_KEY}", outgoing=True) for url in asked))


def _key_host_fault(response: ProbeResponse) -> str | None:
    if response.fault in (Fault.CERTIFICATE, Fault.TLS):
        return (
            f"'{_netloc(response)}' is not trusted: {response.reason}; if a proxy has its own certificates for other "
            "servers, name its authority in [host] ca_file"
        )
    if response.fault:
        return f"'{_netloc(response)}' cannot be reached: {response.reason}; allow HTTPS from this machine to it"
    if response.status != 404:
        return (
            f"'{_netloc(response)}' responds with {response.status} for a key that does not exist, expected 404; check "
            "[host] install_keys"
        )
    return None


def _netloc(response: ProbeResponse) -> str:
    return urlsplit(response.url).netloc


async def clock(context: CheckContext) -> AsyncIterator[Result]:
    """Compare this machine's clock with the ``Date`` headers of the base URL and the key hosts."""
    responses = [*await _key_host_responses(context), await context.get_descriptor()]
    differences = {
        _netloc(response): difference
        for response in responses
        if (difference := response.clock_difference_s()) is not None
    }
    if not differences:
        yield skipped("no response has a date")
        return
    name, difference = max(differences.items(), key=lambda one: abs(one[1]))
    leeway_s = context.deployment.settings.host.clock_leeway_s
    if abs(difference) <= min(WARN_CLOCK_S, leeway_s or 1):
        yield ok(f"clock agrees with {' and '.join(differences)}")
        return
    deviation = f"the clock is {abs(difference):.0f} s {'behind' if difference > 0 else 'ahead of'} '{name}'"
    if abs(difference) > leeway_s:
        yield wrong(
            f"{deviation}, and [host] clock_leeway_s is {leeway_s}, so tokens are refused; synchronize the clock by NTP"
        )
    else:
        yield warn(f"{deviation}; synchronize the clock by NTP")
