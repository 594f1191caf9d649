"""Certificate and key for HTTPS, loaded from files and checked at start."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from addonkit.errors import SettingsInvalid
from addonkit.settings.sections import ServerSettings

# Ciphers that HTTP/2 allows with TLS 1.2 (RFC 9113, 9.2.2); TLS 1.3 has a separate list.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
PROTOCOLS = ["h2", "http/1.1"]
REMEDY = "set [server] tls_certificate and tls_key to a PEM certificate and its key"


class Tls(NamedTuple):
    """A certificate and the key that matches it.

    Attributes:
        certificate: File with the certificate and its chain.
        key: File with its private key.
        context: The TLS context with both: TLS 1.2 or later, and HTTP/2 for clients that support it.
    """

    certificate: Path
    key: Path
    context: ssl.SSLContext


def load_tls(settings: ServerSettings, directory: Path) -> Tls | None:
    """Load the configured certificate; None if none is configured.

    Args:
        settings: The section ``[server]``.
        directory: Folder that relative paths start from.

    Raises:
        SettingsInvalid: A file cannot be read, or key and certificate do not match.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate, key = directory / settings.tls_certificate, directory / settings.tls_key
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        _check_readable(name, file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(PROTOCOLS)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise SettingsInvalid(f"'{certificate}' and '{key}' cannot be used: {_reason(error)}; {REMEDY}") from None
    except _KeyEncrypted:
        raise SettingsInvalid(
            f"the key '{key}' is encrypted; use a key without a password, readable only by this user"
        ) from None
    return Tls(certificate, key, context)


def certificate_expiry(settings: ServerSettings, directory: Path) -> float | None:
    """Return the Unix time at which the configured certificate, or another one of its chain, expires.

    Args:
        settings: The section ``[server]``.
        directory: Folder that relative paths start from.

    Returns:
        The time; None if no certificate is configured, or if it cannot be read, which ``load_tls`` reports.
    """
    if settings.tls_certificate is None:
        return None
    try:
        return earliest_expiry(x509.load_pem_x509_certificates((directory / settings.tls_certificate).read_bytes()))
    except (OSError, ValueError):
        return None


def earliest_expiry(chain: Iterable[x509.Certificate]) -> float:
    """Return the Unix time at which the first certificate of a chain expires: clients refuse the whole chain then."""
    return min(certificate.not_valid_after_utc.timestamp() for certificate in chain)


class _KeyEncrypted(Exception):
    """The key is encrypted."""


def _no_password() -> str:
    # Without this callback, OpenSSL would ask for a password on the terminal.
    raise _KeyEncrypted


def _check_readable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise SettingsInvalid(
            f"[server] {name} is '{file}', which cannot be read: {error.strerror}; {REMEDY}"
        ) from None


def _reason(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not belong to the certificate"
    return "one of them is not a PEM file" if error.reason is None else error.reason.lower().replace("_", " ")
