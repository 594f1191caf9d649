"""The host's install keys: RSA keys that sign ``installed`` and ``uninstalled``; their public keys are served."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from addonkit.testing.asgi import Receive, Scope, Send


@cache
def _generate() -> rsa.RSAPrivateKey:
    """Generate one key for the process, because that takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class InstallKeys:
    """An RSA key pair with its key id, and an ASGI application that serves the public key.

    Args:
        private_pem: A stored key as unencrypted PKCS #8 PEM; by default one key that all instances in this process
            share.
        kid: The key id; a new one by default.
    """

    def __init__(self, private_pem: str | None = None, kid: str | None = None) -> None:
        self.kid = kid or str(uuid.uuid4())
        self._key = _load(private_pem) if private_pem else _generate()

    @property
    def private_pem(self) -> str:
        """The private key, to be stored."""
        form = serialization.PrivateFormat.PKCS8
        return self._key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    @property
    def public_pem(self) -> str:
        """The public key as it is served."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign claims as an RS256 token with this key's id in the header."""
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers={"kid": self.kid})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to ``GET /<kid>`` with the public key, and to everything else with 404."""
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
            return
        known = scope["method"] == "GET" and scope["path"].removeprefix("/") == self.kid
        body = self.public_pem.encode() if known else b""
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve the public key on a free loopback port; yields the URL to which the key id is appended."""
        from addonkit.testing import loopback

        async with loopback.serving(self, loopback.bind()) as url:
            yield url


def _load(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"the install key is of type {type(key).__name__}, expected an RSA key; generate a new one")
    return key


async def _run_lifespan(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return
