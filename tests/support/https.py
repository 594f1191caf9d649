"""A self-signed certificate, and an HTTPS server in this process."""

import datetime
from contextlib import asynccontextmanager

from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import bound_socket
from addonkit.server.tls import load_tls
from addonkit.settings.sections import ServerSettings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_pair(directory, name="localhost", password=None):
    """Write a self-signed certificate and its key; give the settings that name them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    certificate, secret = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return {"tls_certificate": certificate.name, "tls_key": secret.name}


class Plain:
    """An application with one fixed response."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def https_server(app, directory):
    """An HTTPS server, and its port."""
    listener = bound_socket("127.0.0.1:0")
    port = listener.getsockname()[1]
    http_server = HypercornServer(app, listener, load_tls(ServerSettings(**write_pair(directory)), directory))
    await http_server.open()
    try:
        yield http_server, port
    finally:
        http_server.close(0)
        await http_server.abort()
