"""Data classes that the store accepts and returns; they use neither database nor encryption."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from addonkit.context import Product, Tenant
from addonkit.errors import HostError


class IdentityKind(StrEnum):
    """A kind of name that a tenant is looked up by."""

    KEY = "key"
    """The tenant's own key. It is in the tenant's row, not among its identities."""
    CLIENT_KEY = "client_key"
    """Connect's identifier of an installation."""
    CLOUD = "cloud"
    """``<product>:<cloud id>``."""
    INSTALLATION = "installation"
    """``<product>:<installation id>``."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant with the secrets that verify its tokens.

    Attributes:
        tenant: The tenant as plugins see it.
        secret: The shared secret of the last install; None for a tenant without one, for which no HS256 token is valid.
        former_secret: The previous shared secret, for a short time after it was replaced.
        former_until: Unix time in seconds until which the former secret is accepted; 0 without one.
        oauth_client_id: Client id for host calls on behalf of a user.
        unapproved: The scopes of this release that the site has not approved, as far as its host has refused calls.
        unapproved_at: Unix time in seconds of the last such refusal; 0 without one.
        disabled_iat: Unix time in seconds at which the token of the last `disabled` was issued; None if unknown.
        is_failing: Whether the last answer to a daily call was that the site does not know the add-on.
    """

    tenant: Tenant
    secret: bytes | None = field(repr=False)
    former_secret: bytes | None = field(default=None, repr=False)
    former_until: float = 0.0
    oauth_client_id: str | None = None
    unapproved: frozenset[str] = frozenset()
    unapproved_at: float = 0.0
    disabled_iat: int | None = None
    is_failing: bool = False

    def signing_secret(self) -> bytes:
        """Return the secret that signs host calls.

        Raises:
            HostError: The tenant has none.
        """
        if self.secret is None:
            raise HostError(f"tenant '{self.tenant.key}' has no shared secret, so its host would refuse the token")
        return self.secret


@dataclass(frozen=True, slots=True)
class Installation:
    """The details of a site in a verified install request.

    Attributes:
        client_key: The host's identifier of the installation, at most 255 characters.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Root of the REST API, in canonical form.
        shared_secret: The secret as sent; its UTF-8 bytes are the key.
        display_url: The URL that users see; None means the base URL.
        oauth_client_id: Client id for host calls on behalf of a user.
        installation_id: The host's id of this installation.
        help_center_url: Origin of the site's help center, if it has a domain of its own.
    """

    client_key: str
    product: Product
    base_url: str
    shared_secret: str = field(repr=False)
    display_url: str | None = None
    oauth_client_id: str | None = None
    installation_id: str | None = None
    help_center_url: str | None = None


class StoredInstallKey(NamedTuple):
    """An install key, as it is stored.

    Attributes:
        key_id: The ``kid`` of the tokens that it verifies.
        pem: The public key.
        asked_at: Unix time in seconds at which a key host last gave it.
    """

    key_id: str
    pem: str
    asked_at: int


class TokenUse(NamedTuple):
    """The use of a lifecycle token.

    Attributes:
        digest: SHA-256 of the token without its signature; see :meth:`of`.
        issued_at: Its ``iat``, Unix seconds.
        expires_at: Its ``exp``, Unix seconds.
    """

    digest: str
    issued_at: int
    expires_at: int

    @classmethod
    def of(cls, token: str, *, issued_at: int, expires_at: int) -> "TokenUse":
        """Create the use of a verified token.

        The digest omits the signature, since the same token with another encoding of its signature must match.
        """
        signed = token.rpartition(".")[0]
        return cls(hashlib.sha256(signed.encode()).hexdigest(), issued_at, expires_at)
