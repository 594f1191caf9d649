"""The values that the store takes and gives: no database, no cipher."""

import hashlib
from dataclasses import dataclass, field

from addonkit.context import Product, Tenant


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A site with what is needed to check its tokens.

    Attributes:
        tenant: The site, as plugins see it.
        secret: What it signs with since its last install.
        former_secret: What it signed with before, if that was replaced a short while ago.
        former_until: Unix time in seconds until which the former secret is taken; 0 without one.
        oauth_client_id: For calls on behalf of a user.
    """

    tenant: Tenant
    secret: bytes = field(repr=False)
    former_secret: bytes | None = field(default=None, repr=False)
    former_until: float = 0.0
    oauth_client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """What an install call says of a site, verified before.

    Attributes:
        client_key: The host's name for the site, at most 255 characters.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Root of its REST API, canonical.
        shared_secret: Used by its UTF-8 bytes, as it came.
        display_url: Where users see it; None stands for the base URL.
        oauth_client_id: For calls on behalf of a user.
        installation_id: The host's name for this installation.
    """

    client_key: str
    product: Product
    base_url: str
    shared_secret: str = field(repr=False)
    display_url: str | None = None
    oauth_client_id: str | None = None
    installation_id: str | None = None


@dataclass(frozen=True, slots=True)
class TokenUse:
    """The one use of a lifecycle token.

    Attributes:
        digest: Stands for the token; see :meth:`of`.
        issued_at: Its ``iat``, Unix seconds.
        expires_at: Its ``exp``, Unix seconds.
    """

    digest: str
    issued_at: int
    expires_at: int

    @classmethod
    def of(cls, token: str, *, issued_at: int, expires_at: int) -> "TokenUse":
        """Give the use of a verified token.

        The digest leaves the signature out: a second spelling of it must not make a second token.
        """
        signed = token.rpartition(".")[0]
        return cls(hashlib.sha256(signed.encode()).hexdigest(), issued_at, expires_at)
