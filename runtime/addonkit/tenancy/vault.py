"""Encryption of stored secrets with AES-GCM, bound to the tenant and the column of each value.

The store decides which secrets are encrypted; the keys come from the settings.
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
    """Encrypts and decrypts short values: ``v1.<key id>.<base64url of nonce and ciphertext>``.

    Args:
        keys: Key ids and keys of 16, 24 or 32 bytes; the first key encrypts, all decrypt.
    """

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        if not keys:
            raise SettingsInvalid("there is no encryption key; add at least one to [security] encryption_keys")
        self._ciphers: dict[str, AESGCM] = {}
        for key_id, key in keys:
            if not key_id or "." in key_id or key_id in self._ciphers:
                raise SettingsInvalid(
                    f"the encryption key id '{key_id}' is empty, contains a dot or occurs twice; rename it"
                )
            try:
                self._ciphers[key_id] = AESGCM(key)
            except ValueError as exc:
                raise SettingsInvalid(
                    f"the encryption key '{key_id}' has {len(key)} bytes, expected 32; create a new one"
                ) from exc
        self._first = keys[0][0]

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ciphers)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the configured keys; the first one encrypts."""
        return tuple(self._ciphers)

    def encrypt(self, plain: bytes, *, tenant_key: str, column: str) -> str:
        """Encrypt a value with the first key and a random nonce.

        Args:
            plain: The value.
            tenant_key: Key of the tenant whose row will hold it.
            column: The column that will hold it; without NUL.
        """
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._ciphers[self._first].encrypt(nonce, plain, _associated_data(tenant_key, column))
        return f"{VERSION}.{self._first}.{base64.urlsafe_b64encode(nonce + ciphertext).decode('ascii')}"

    def decrypt(self, encrypted: str, *, tenant_key: str, column: str) -> bytes:
        """Decrypt a value that was encrypted for this row and column.

        Raises:
            VaultLocked: Its key is not configured, or it was encrypted for another row or column, or was changed.
        """
        version, _, rest = encrypted.partition(".")
        key_id, _, body = rest.partition(".")
        if version != VERSION or not body:
            raise VaultLocked(
                f"the stored '{column}' does not have the form '{VERSION}.<key id>.<text>'; install the add-on again"
            )
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultLocked(
                f"the stored '{column}' is encrypted with the key '{key_id}', which is not configured; "
                "add that key to [security] encryption_keys again"
            )
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _associated_data(tenant_key, column))
        except (InvalidTag, ValueError, binascii.Error) as exc:
            raise VaultLocked(
                f"the stored '{column}' cannot be decrypted with the key '{key_id}': it was encrypted for another row, "
                "or with a different key of that id; install the add-on again"
            ) from exc


def key_id_of(encrypted: str) -> str:
    """Return the id of the key that encrypted a value; empty if the value has another form."""
    version, _, rest = encrypted.partition(".")
    key_id, dot, _ = rest.partition(".")
    return key_id if version == VERSION and dot else ""


def _associated_data(tenant_key: str, column: str) -> bytes:
    # A column's name has no NUL; therefore different rows and columns have different bytes.
    return f"{column}\0{tenant_key}".encode()
