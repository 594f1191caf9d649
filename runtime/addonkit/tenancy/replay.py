"""The one use of a lifecycle token: kept until nobody would take that token any more."""

import time

from addonkit.errors import TokenInvalid
from addonkit.tenancy.models import TenantRow, UsedToken
from addonkit.tenancy.record import TokenUse

# Longer than any leeway that a token's end is checked with.
USED_TOKEN_MARGIN_S = 300
SWEPT_AT_ONCE = 100


def refuse_older(use: TokenUse, row: TenantRow) -> None:
    """Refuse a token that was issued before the last one that changed its site.

    Raises:
        TokenInvalid: It was.
    """
    if use.issued_at < row.installed_iat:
        raise TokenInvalid(
            f"the lifecycle token was issued at {use.issued_at}, before the one of {row.installed_iat} that changed "
            "this site last; send a new one",
            kind="replay",
        )


async def refuse_used(use: TokenUse) -> None:
    """Refuse a token that was used before.

    Raises:
        TokenInvalid: It was.
    """
    if await UsedToken.exists(digest=use.digest):
        raise TokenInvalid("the lifecycle token was used before, each is taken once; send a new one", kind="replay")


async def spend(use: TokenUse) -> None:
    """Use a token, in the transaction of what it is used for; others that have expired go in passing.

    Raises:
        TokenInvalid: It was used before.
    """
    await refuse_used(use)
    await UsedToken.create(digest=use.digest, expires_at=use.expires_at)
    stale = UsedToken.filter(expires_at__lt=int(time.time()) - USED_TOKEN_MARGIN_S)
    # By number, since SQLite knows no DELETE with a LIMIT.
    if numbers := await stale.limit(SWEPT_AT_ONCE).values_list("id", flat=True):
        await UsedToken.filter(id__in=list(numbers)).delete()
