"""A public HTTPS address on this machine: a host name, a certificate, and a server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.tls import Tls
from addonkit.testing import loopback
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "kit.example.com"


class Authority:
    """A certificate authority that only these tests trust.

    Args:
        directory: Folder for its files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority of {directory.name}"[:64])])
        self._made = 0

    @cached_property
    def file(self) -> Path:
        """Its own certificate."""
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        built = self._builder(self._name, self._key.public_key(), 900).add_extension(usage, critical=True)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        file = self._directory / "authority.pem"
        file.write_bytes(built.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        return file

    def trusting(self) -> ssl.SSLContext:
        """A context that trusts this authority only."""
        return ssl.create_default_context(cafile=str(self.file))

    def certify(self, *names: str, days: float = 90) -> tuple[Path, Path]:
        """Create a certificate for these names; give its file and that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        called = x509.SubjectAlternativeName([_named(name) for name in names])
        certificate = self._builder(subject, key.public_key(), days).add_extension(called, critical=False)
        self._made += 1
        chain, private = self._directory / f"{self._made}.pem", self._directory / f"{self._made}.key"
        chain.write_bytes(certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o600)
        return chain, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            # Since Python 3.13, certificates without these identifiers are refused.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


@dataclass(frozen=True, slots=True)
class Plain:
    """An application with one fixed response.

    Attributes:
        status: HTTP status.
        headers: Response headers.
        body: Response body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@asynccontextmanager
async def public(
    app: Any, sock: socket.socket, files: tuple[Path, Path] | None = None, oldest: Any = None
) -> AsyncIterator[None]:
    """Serve on a bound socket.

    Args:
        app: An ASGI application, started already.
        sock: Bound, not yet listening.
        files: Certificate and key; None serves plain HTTP.
        oldest: Oldest TLS version that is accepted; 1.2 by default.
    """
    sock.listen()
    sock.setblocking(False)
    server = HypercornServer(app, sock, _tls(files, oldest) if files else None)
    await server.open()
    try:
        yield
    finally:
        server.close(0)
        async with asyncio.timeout(60):
            await server.wait_closed()
            await server.abort()


def _tls(files: tuple[Path, Path], oldest: Any) -> Tls:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    if oldest is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = oldest
    return Tls(*files, context)


def bind() -> socket.socket:
    """A socket on a free port."""
    return loopback.bind()


def resolve_to_loopback(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Resolve these names to this machine, and no others except its own."""
    resolve = socket.getaddrinfo

    def found(host: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text in (None, "localhost") or text[:1].isdigit():
            return resolve(host, *args, **options)
        if text not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1", *args, **options)

    patch.setattr(socket, "getaddrinfo", found)


def _named(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[:1].isdigit() else x509.DNSName(name)
