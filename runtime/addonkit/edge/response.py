"""Sends responses: adds the security headers to each, and sends the edge's own responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

from addonkit.context import Tenant
from addonkit.edge.refusal_log import log_refusal
from addonkit.edge.request import InboundRequest, Message, Send
from addonkit.log import structlog
from addonkit.protocol.urls import is_loopback, origin

Headers = list[tuple[bytes, bytes]]
FixedHeaders = tuple[tuple[bytes, bytes], ...]
"""Headers that several responses share, so nobody may change them."""
FORBIDDEN_HEADERS = (b"set-cookie", b"access-control-", b"x-frame-options")
"""Prefixes of headers that no plugin may set."""
LOOPBACK = ("127.0.0.1", "localhost")
NO_STORE = (b"cache-control", b"no-store")

log = structlog.get_logger()


class SecurityHeaders:
    """Builds the security headers of responses, among them the Content-Security-Policy.

    Args:
        base_url: The add-on's base URL; an https one adds HSTS.
        domains: Domains of ``[host] domains``; they may frame a page that is served without a context.
        all_js: URL of the host's JavaScript.
    """

    def __init__(self, base_url: str, domains: Sequence[str], all_js: str) -> None:
        self._all_js = all_js
        self._any_site = " ".join(_policy_source(domain) for domain in domains)
        fixed = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        ]
        if base_url.startswith("https://"):
            fixed.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))
        self._fixed: FixedHeaders = tuple(fixed)
        self._plain = self._with_policy(b"default-src 'none'; frame-ancestors 'none'")
        self._without_tenant = self._with_policy(_policy(all_js, self._any_site))
        # By the site's URLs: a site whose URLs change has other headers at once.
        self._of_site = lru_cache(4096)(self._headers_of_site)

    def plain(self) -> FixedHeaders:
        """Return the headers for responses that are not pages: refusals, the descriptor, static files."""
        return self._plain

    def for_page(self, tenant: Tenant | None) -> FixedHeaders:
        """Return the headers for a page of a site; without a tenant, any allowed site may frame the page."""
        if tenant is None:
            return self._without_tenant
        return self._of_site(tenant.base_url, tenant.display_url, tenant.help_center_url)

    def script_of(self, tenant: Tenant | None) -> str:
        """Return the URL of the host's JavaScript; a simulated site on loopback serves its own."""
        return self._all_js if tenant is None else _script(tenant.base_url, self._all_js)

    def _headers_of_site(self, base_url: str, display_url: str, help_center_url: str | None) -> FixedHeaders:
        """Return the headers for the pages of a site; portal pages of a service desk have a domain of their own."""
        urls = (base_url, display_url, *([help_center_url] if help_center_url else []))
        framers = " ".join(dict.fromkeys(origin(url) for url in urls))
        return self._with_policy(_policy(_script(base_url, self._all_js), framers))

    def _with_policy(self, policy: bytes) -> FixedHeaders:
        return (*self._fixed, (b"content-security-policy", policy))


async def send_response(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send one complete response with a Content-Length, except for a 204."""
    if status != HTTPStatus.NO_CONTENT:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send_with_headers(send, status, headers, body)


async def send_with_headers(send: Send, status: int, headers: Headers | FixedHeaders, body: bytes = b"") -> None:
    """Send one complete response with exactly these headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass(slots=True)
class ResponseSender:
    """An ASGI ``send`` that replaces headers of the application with the security headers.

    Attributes:
        send: The server's ``send``.
        security: Headers that replace the application's.
        request: The request that is answered.
    """

    send: Send
    security: FixedHeaders
    request: InboundRequest

    async def __call__(self, message: Message) -> None:
        """Pass one message on; the start of the response gets the merged headers."""
        if message["type"] == "http.response.start":
            self.request.record.status = message["status"]
            log_refusal(self.request, message["status"])
            own = [*self.security, (b"x-request-id", self.request.request_id.encode())]
            headers, dropped = merged(message["headers"], own)
            for name in dropped:
                log.warning("response.header_dropped", header=name.decode("latin-1"), path=self.request.logged_path)
            message = {**message, "headers": headers}
        await self.send(message)


def merged(application: Iterable[tuple[bytes, bytes]], own: Headers) -> tuple[Headers, list[bytes]]:
    """Merge the headers of the application and the runtime; the runtime's replace those of the same name.

    Args:
        application: Headers that the application set.
        own: Headers of the runtime.

    Returns:
        The headers, and the names of those that were dropped because no response may have them.
    """
    replaced = {name for name, _ in own}
    replaced.add(b"cache-control")
    headers: Headers = []
    dropped = []
    for name, value in application:
        if name.startswith(FORBIDDEN_HEADERS):
            dropped.append(name)
        elif name not in replaced:
            headers.append((name, value))
    headers.append(NO_STORE)
    headers += own
    return headers, dropped


def _policy_source(domain: str) -> str:
    """Return a domain of ``[host] domains`` as a source of the policy; a loopback domain with any port."""
    return f"http://{domain}:*" if domain in LOOPBACK else f"https://{domain}"


@lru_cache(4096)
def _script(base_url: str, all_js: str) -> str:
    return f"{base_url}/atlassian-connect/all.js" if is_loopback(base_url) else all_js


def _policy(script: str, framers: str) -> bytes:
    # The host's JavaScript writes style elements and requests the theme's colours from its own server.
    server = f"{urlsplit(script).scheme}://{urlsplit(script).netloc}"
    # A simulated site serves its users' avatars over http; a real site serves them over https.
    picture_source = "" if script.startswith("https:") else f" {server}"
    return (
        f"default-src 'none'; script-src 'self' {server}; style-src 'self' 'unsafe-inline' {server}; "
        f"img-src 'self' data: https:{picture_source}; font-src 'self' {server}; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {framers}"
    ).encode()
