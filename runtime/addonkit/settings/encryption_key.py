"""The format of an encryption key in the configuration: ``<id>:<base64>``."""

from __future__ import annotations

import base64
import binascii


def parse_key(text: str) -> tuple[str, bytes]:
    """Return the id and the 32 bytes of an encryption key written as ``<id>:<base64>``.

    Raises:
        ValueError: With the rest of a sentence, which does not contain the key.
    """
    key_id, colon, encoded = text.partition(":")
    if not colon or not key_id or not key_id.replace("-", "").replace("_", "").isalnum():
        raise ValueError("is not '<id>:<base64>'; create a key with 'addonkit keys new'")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError(f"('{key_id}') is not base64 after the colon; create a key with 'addonkit keys new'") from None
    if len(key) != 32:
        raise ValueError(f"('{key_id}') has {len(key)} bytes, expected 32; create a key with 'addonkit keys new'")
    return key_id, key
