"""The query that reads a tenant with its encrypted secrets by one of its names: at each miss of the cache."""

from addonkit.database.sql import fetch_alone
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import IdentityKind

_COLUMNS = """
SELECT t.id, t.key, t.client_key, t.product, t.base_url, t.display_url, t.state, t.oauth_client_id, t.shared_secret,
    t.former_secret, t.former_until, t.unapproved_scopes, t.unapproved_at, t.help_center_url,
    t.gone_at, t.disabled_iat,
    EXISTS (SELECT 1 FROM addonkit_presence p WHERE p.tenant_id = t.id AND p.is_failing) AS is_failing
FROM addonkit_tenant t"""
_SELECT = {
    # A process of an earlier release may have stored the row without a key.
    IdentityKind.KEY: f"{_COLUMNS} WHERE t.key = ? OR (t.key IS NULL AND t.client_key = ?)",
    IdentityKind.CLIENT_KEY: f"{_COLUMNS} WHERE t.client_key = ?",
}
_SELECT_BY_IDENTITY = f"""{_COLUMNS} JOIN addonkit_identity i ON i.tenant_id = t.id
WHERE i.kind = ? AND i.value = ? AND i.environment = ? AND i.retired_at IS NULL"""


async def read_row(kind: IdentityKind, value: str, environment: str) -> tuple[TenantRow, bool] | None:
    """Read a record's columns with a fixed statement, and whether its site is failing.

    Do not save the row, since its other columns are not read.

    This runs at each cache miss. The ORM would build the query each time, which takes three times as long.
    """
    if (select := _SELECT.get(kind)) is not None:
        found = await fetch_alone(select, [value] * select.count("?"))
    else:
        found = await fetch_alone(_SELECT_BY_IDENTITY, [str(kind), value, environment])
    if not found:
        return None
    is_failing = bool(found[0].pop("is_failing"))
    row = TenantRow.__new__(TenantRow)
    # The columns only; Tortoise's own ways give a value to every field of the model, which takes as long as the query.
    row.__dict__.update(found[0])
    return row, is_failing
