"""Check of the way to other servers: the proxy, and the certificate authorities that are trusted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from cryptography import x509

from addonkit.check.context import CheckContext, Result, ok, warn
from addonkit.check.tls import DAY_S, WARN_DAYS
from addonkit.http_client import Network

IGNORED_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


async def outgoing(context: CheckContext) -> AsyncIterator[Result]:
    """Report the proxy and the authorities; warn about certificates that expire, and about a variable without effect.

    Raises:
        SettingsInvalid: The file with the authorities cannot be read.
    """
    network = context.deployment.network
    yield ok(f"requests to other servers go {_way(network)}")
    if network.ca_file is not None:
        for result in _authorities(network, context.now()):
            yield result
    if network.proxy is None and (ignored := next(filter(os.environ.get, IGNORED_VARIABLES), None)):
        yield warn(f"the environment's {ignored} has no effect; set [host] proxy if this machine needs a proxy")


def _way(network: Network) -> str:
    if network.proxy is None:
        return "directly"
    user = ", with a user name" if "@" in network.proxy else ""
    return f"through the proxy '{network.proxy_name}'{user}"


def _authorities(network: Network, now: float) -> list[Result]:
    assert network.ca_file is not None  # noqa: S101 - for the type checker
    certificates = x509.load_pem_x509_certificates(network.ca_file.read_bytes())
    count = "1 certificate" if len(certificates) == 1 else f"{len(certificates)} certificates"
    results = [ok(f"the {count} in '{network.ca_file}' are trusted besides those of this machine")]
    for certificate in certificates:
        days = int((certificate.not_valid_after_utc.timestamp() - now) // DAY_S)
        name = certificate.subject.rfc4514_string()
        if days < 0:
            results.append(warn(f"the authority '{name}' expired {-days} days ago; replace it in [host] ca_file"))
        elif days < WARN_DAYS:
            results.append(warn(f"the authority '{name}' expires in {days} days; renew it in [host] ca_file"))
    return results
