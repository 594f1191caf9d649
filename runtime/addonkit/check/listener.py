"""Do the settings of our own listeners go together, and is the certificate that we serve a good one?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from addonkit.check.context import CheckContext
from addonkit.check.result import Remark, ok, warn, wrong
from addonkit.check.tls import DAY_S, WARN_DAYS
from addonkit.server.tls import load_tls

READABLE_BY_ALL = 0o004


async def listener(case: CheckContext) -> AsyncIterator[Remark]:
    """TLS of our own, the operator's listener, and whom we believe about callers.

    Raises:
        SettingsInvalid: Certificate and key cannot be read, or do not fit.
    """
    settings = case.deployment.settings
    tls = load_tls(settings.server, case.deployment.directory)
    if tls is None:
        yield ok("plain HTTP" if case.is_at_home() else "plain HTTP, for a proxy that speaks TLS")
    else:
        for remark in _certificate(case, tls.certificate):
            yield remark
        if tls.key.stat().st_mode & READABLE_BY_ALL:
            yield warn(f"everybody on this machine can read '{tls.key}'; run 'chmod o= {tls.key.name}'")
    if (bind := settings.operations.bind) and not _is_private(bind):
        yield warn(f"[operations] bind is '{bind}', where /metrics asks for no token; bind to an inner address")
    if settings.log.access and tls is None and not settings.server.trusted_proxies and not case.is_at_home():
        yield warn("[log] access names the proxy as every caller; name the proxy in [server] trusted_proxies")


def _certificate(case: CheckContext, file: Path) -> list[Remark]:
    """What the first certificate of a file says."""
    certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
    days = int((certificate.not_valid_after_utc.timestamp() - case.now()) // DAY_S)
    names = _names_in(certificate)
    remarks = [ok(f"HTTPS for {', '.join(names)}")]
    if not any(_covers(name, case.host) for name in names):
        remarks.append(wrong(f"the certificate is not for '{case.host}', the name in [addon] base_url; serve another"))
    if days < 0:
        remarks.append(wrong(f"the certificate has ended {-days} days ago; renew it and have the add-on take it up"))
    elif days < WARN_DAYS:
        remarks.append(warn(f"the certificate ends in {days} days; renew it and have the add-on take it up"))
    return remarks


def _names_in(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name is that of a host; ``*`` stands for one label."""
    if name.startswith("*."):
        return host.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == host.lower()


def _is_private(bind: str) -> bool:
    """Whether a listener is out of the world's reach: a socket in the file system, loopback, or an inner address."""
    host = bind.rpartition(":")[0].strip("[]")
    if bind.startswith("unix:") or host in ("", "localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified
