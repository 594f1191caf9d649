"""The headers that every answer carries, and the ones that none may."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from addonkit.context import Tenant
from addonkit.protocol.urls import is_loopback, origin

Headers = list[tuple[bytes, bytes]]
NEVER = (b"set-cookie", b"access-control-", b"x-frame-options")
LOOPBACK = ("127.0.0.1", "localhost")
IMMUTABLE = b"public, max-age=31536000, immutable"


class SecurityHeaders:
    """Makes the headers of an answer.

    Args:
        base_url: The add-on's base URL; https ones get HSTS.
        domains: Sites that may install, for pages that are shown before a site is known.
        all_js: The host's JavaScript.
    """

    def __init__(self, base_url: str, domains: Sequence[str], all_js: str) -> None:
        self._all_js = all_js
        self._any_site = " ".join(_source(domain) for domain in domains)
        self._fixed: Headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        ]
        if base_url.startswith("https://"):
            self._fixed.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))

    def plain(self) -> Headers:
        """For answers that are no pages: refusals, the descriptor, static files."""
        return [*self._fixed, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]

    def for_page(self, tenant: Tenant | None) -> Headers:
        """For a page of a site; without one, for a page that any site may frame."""
        framers = _framers(tenant.base_url, tenant.display_url) if tenant else self._any_site
        return [*self._fixed, (b"content-security-policy", _policy(self.script_of(tenant), framers))]

    def script_of(self, tenant: Tenant | None) -> str:
        """The host's JavaScript for a site: its own where the site is a simulated one on loopback."""
        return (
            f"{tenant.base_url}/atlassian-connect/all.js" if tenant and is_loopback(tenant.base_url) else self._all_js
        )


def _source(domain: str) -> str:
    """A domain of ``[host] domains`` as a policy names it; loopback ones with any port."""
    return f"http://{domain}:*" if domain in LOOPBACK else f"https://{domain}"


@lru_cache(4096)
def _framers(base_url: str, display_url: str) -> str:
    return " ".join(dict.fromkeys((origin(base_url), origin(display_url))))


@lru_cache(4096)
def _policy(script: str, framers: str) -> bytes:
    # the host's library writes style elements and asks its own server for the theme's colours
    server = f"{urlsplit(script).scheme}://{urlsplit(script).netloc}"
    # the pictures of a simulated site's users; those of real ones come by https
    picture_source = "" if script.startswith("https:") else f" {server}"
    return (
        f"default-src 'none'; script-src 'self' {server}; style-src 'self' 'unsafe-inline' {server}; "
        f"img-src 'self' data: https:{picture_source}; font-src 'self' {server}; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {framers}"
    ).encode()


def merged(own: Headers, security: Headers) -> tuple[Headers, list[bytes]]:
    """An answer's headers with ours over them.

    Args:
        own: What the application set.
        security: What we set.

    Returns:
        The headers, and the names of those that were dropped because no answer may carry them.
    """
    ours = {name for name, _ in security}
    dropped = [name for name, _ in own if name.startswith(NEVER)]
    kept = [
        (name, value)
        for name, value in own
        if name not in ours and not name.startswith(NEVER) and name != b"cache-control"
    ]
    return [*kept, (b"cache-control", b"no-store"), *security], dropped
