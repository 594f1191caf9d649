"""The certificate that HTTPS is served with, read from files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from addonkit.errors import SettingsInvalid
from addonkit.settings.sections import ServerSettings

# What HTTP/2 allows of TLS 1.2 (RFC 9113, 9.2.2); TLS 1.3 has a list of its own.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
PROTOCOLS = ["h2", "http/1.1"]
CURE = "name PEM files that belong together in [server] tls_certificate and tls_key"


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key, which were seen to fit.

    Attributes:
        certificate: File of the certificate and its chain.
        key: File of its key.
        context: Both loaded, TLS 1.2 and later, HTTP/2 where the client speaks it.
    """

    certificate: Path
    key: Path
    context: ssl.SSLContext


def tls_of(settings: ServerSettings, directory: Path) -> Tls | None:
    """The certificate that a configuration names; None if it names none.

    Args:
        settings: Of the server.
        directory: What relative paths are relative to.

    Raises:
        SettingsInvalid: A file cannot be read, or they do not fit.
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
    except ssl.SSLError as wrong:
        raise SettingsInvalid(f"'{certificate}' and '{key}' cannot be used: {_reason(wrong)}; {CURE}") from None
    except _Encrypted:
        raise SettingsInvalid(f"the key '{key}' wants a password; name one without, readable for us alone") from None
    return Tls(certificate, key, context)


class _Encrypted(Exception):
    """A key that wants a password."""


def _no_password() -> str:
    # Without this, OpenSSL would ask whoever sits at the terminal.
    raise _Encrypted


def _check_readable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as wrong:
        raise SettingsInvalid(
            f"[server] {name} names '{file}', which cannot be read: {wrong.strerror}; {CURE}"
        ) from None


def _reason(wrong: ssl.SSLError) -> str:
    if wrong.reason == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    return "one of them is no PEM file" if wrong.reason is None else wrong.reason.lower().replace("_", " ")
