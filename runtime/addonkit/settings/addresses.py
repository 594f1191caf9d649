"""Checks of the addresses in settings: proxies in front of the add-on, and the proxy that it sends requests through."""

from __future__ import annotations

from urllib.parse import urlsplit

OTHER_SCHEMES = frozenset({"socks", "socks4", "socks5", "socks5h", "ftp"})
"""Schemes that a message may name; any other text may be part of a password."""


def check_proxy(url: str) -> None:
    """Refuse a URL that is not a proxy's; no message contains the URL, which may have a password.

    Raises:
        ValueError: With a complete sentence.
    """
    form = "write http://proxy.example.com:3128, with 'user:password@' before the name if the proxy requires it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"the proxy's URL has an invalid host or port; {form}") from None
    if parts.scheme not in ("http", "https"):
        known = (
            f"'{parts.scheme}'" if parts.scheme in ("socks", "socks4", "socks5", "socks5h", "ftp") else "another one"
        )
        raise ValueError(f"the proxy's URL has the scheme {known}, expected 'http' or 'https'; {form}")
    if not parts.hostname or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"the proxy's URL has no host, or contains spaces or other special characters; {form}")
    if parts.path.strip("/") or parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError(
            "the proxy's URL has a path, a query or a fragment; remove it, and write special characters of a password "
            "as %23 for '#', %2F for '/', %3F for '?'"
        )


def check_network(text: str) -> None:
    """Refuse text that is neither an address nor a network, and a network that contains all addresses.

    Raises:
        ValueError: With a complete sentence.
    """
    from ipaddress import ip_network  # imported here: few deployments name a proxy

    try:
        network = ip_network(text)
    except ValueError as error:
        remedy = "use an address, a network such as '10.0.0.0/8' without host bits, or 'unix'"
        raise ValueError(f"'{text}' is neither an address nor a network; {remedy}") from error
    if network.prefixlen == 0:
        raise ValueError(f"'{text}' contains all addresses, so anybody could claim any address; name the proxies only")
