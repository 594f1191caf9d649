"""Replay protection: each lifecycle token is accepted once. Its digest is stored until the token has expired."""

import time

from addonkit.errors import TokenInvalid
from addonkit.tenancy.models import TenantRow, UsedToken
from addonkit.tenancy.record import TokenUse

# Longer than any clock leeway for a token's expiry.
USED_TOKEN_MARGIN_S = 300
MAX_DELETED = 100


def refuse_older(use: TokenUse, row: TenantRow) -> None:
    """Refuse a token that was issued before the last one that changed the tenant.

    Raises:
        TokenInvalid: The token is older.
    """
    if use.issued_at < row.installed_iat:
        raise TokenInvalid(
            f"the lifecycle token was issued at {use.issued_at}, before the token of {row.installed_iat} that last "
            "changed this tenant; send a new one",
            kind="replay",
        )


async def refuse_replayed(use: TokenUse) -> None:
    """Refuse a token that was used before.

    Raises:
        TokenInvalid: The token was used.
    """
    if await UsedToken.exists(digest=use.digest):
        raise TokenInvalid(
            "the lifecycle token was used before, and each is accepted once; send a new one", kind="replay"
        )


async def use_token(use: TokenUse) -> None:
    """Record the use of a token in the transaction of the change, and delete some expired digests.

    Raises:
        TokenInvalid: The token was used before.
    """
    await refuse_replayed(use)
    await UsedToken.create(digest=use.digest, expires_at=use.expires_at)
    stale = UsedToken.filter(expires_at__lt=int(time.time()) - USED_TOKEN_MARGIN_S)
    # Deletes by number, because SQLite has no DELETE with LIMIT.
    if numbers := await stale.limit(MAX_DELETED).values_list("id", flat=True):
        await UsedToken.filter(id__in=list(numbers)).delete()
