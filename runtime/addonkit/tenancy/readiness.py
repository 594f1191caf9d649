"""What the open database says of itself, in one small query: for those who ask again and again."""

from tortoise.connection import get_connection

from addonkit.tenancy.applied import APPLIED, Steps
from addonkit.tenancy.current import CONNECTION
from addonkit.tenancy.store import storage_errors


async def applied_now() -> Steps:
    """Give the migrations that the open database has.

    Raises:
        StorageUnavailable: It did not answer.
    """
    with storage_errors():
        rows = await get_connection(CONNECTION).execute_query_dict(APPLIED)
    return {(row["app"], row["name"]) for row in rows}
