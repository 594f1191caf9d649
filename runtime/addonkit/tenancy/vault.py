"""Secrets at rest: sealed with AES-GCM, bound to the row and column that they were made for.

Which secrets there are is the store's business; where the keys come from is that of the settings.
"""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from addonkit.errors import SettingsInvalid, VaultLocked

VERSION = "v1"
NONCE_BYTES = 12


class Vault:
    """Seals and opens short values: ``v1.<key id>.<base64url of nonce and ciphertext>``.

    Args:
        keys: Key id and 16, 24 or 32 bytes of key; the first seals, all open.
    """

    __slots__ = ("_ciphers", "_sealing")

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        if not keys:
            raise SettingsInvalid("no encryption key was given; put at least one into [security] encryption_keys")
        self._ciphers: dict[str, AESGCM] = {}
        for key_id, key in keys:
            if not key_id or "." in key_id or key_id in self._ciphers:
                raise SettingsInvalid(f"the encryption key id '{key_id}' is empty, dotted or given twice; rename it")
            try:
                self._ciphers[key_id] = AESGCM(key)
            except ValueError as exc:
                raise SettingsInvalid(
                    f"the encryption key '{key_id}' has {len(key)} bytes, expected 32; make a new one"
                ) from exc
        self._sealing = keys[0][0]

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ciphers)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys at hand; the first seals."""
        return tuple(self._ciphers)

    def seal(self, plain: bytes, *, client_key: str, column: str) -> str:
        """Give the sealed form of a value, different each time.

        Args:
            plain: The value.
            client_key: The site whose row will hold it.
            column: The column that will hold it; without NUL.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._sealing].encrypt(nonce, plain, _place(client_key, column))
        return f"{VERSION}.{self._sealing}.{base64.urlsafe_b64encode(nonce + sealed).decode('ascii')}"

    def open(self, sealed: str, *, client_key: str, column: str) -> bytes:
        """Give back what was sealed for this very row and column.

        Raises:
            VaultLocked: Its key is not among ours, or it was made for another place, or it was changed.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if version != VERSION or not body:
            raise VaultLocked(f"the stored '{column}' is not in the form '{VERSION}.<key id>.<text>'; install again")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultLocked(
                f"the stored '{column}' was sealed with the key '{key_id}', which is not configured; "
                "put that key back into [security] encryption_keys"
            )
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _place(client_key, column))
        except (InvalidTag, ValueError, binascii.Error) as exc:
            raise VaultLocked(
                f"the stored '{column}' does not open with the key '{key_id}': it was made for another row or by "
                "another key of that name; install again"
            ) from exc


def key_id_of(sealed: str) -> str:
    """Name the key that sealed a value; empty for what is in no form of ours."""
    version, _, rest = sealed.partition(".")
    key_id, dot, _ = rest.partition(".")
    return key_id if version == VERSION and dot else ""


def _place(client_key: str, column: str) -> bytes:
    # A column's name has no NUL, so that no two places share their bytes.
    return f"{column}\0{client_key}".encode()
