"""The security core: query hashes, tokens, sessions, lifecycle payloads and URLs.

It does no I/O and reads no settings. Errors contain no token and no secret. The layers above decide which route demands
which proof, and load keys and secrets.
"""

from addonkit.protocol.canonical import CONTEXT_QSH, canonical_request, query_hash, query_matches
from addonkit.protocol.payloads import LifecyclePayload, read_payload
from addonkit.protocol.sessions import Page, Sessions
from addonkit.protocol.tokens import Claims, Peek, check_key_id, peek, sign, verify
from addonkit.protocol.urls import canonical_base_url, check_host_url, is_loopback, origin, path_of

__all__ = [
    "CONTEXT_QSH",
    "Claims",
    "LifecyclePayload",
    "Page",
    "Peek",
    "Sessions",
    "canonical_base_url",
    "canonical_request",
    "check_host_url",
    "check_key_id",
    "is_loopback",
    "origin",
    "path_of",
    "peek",
    "query_hash",
    "query_matches",
    "read_payload",
    "sign",
    "verify",
]
