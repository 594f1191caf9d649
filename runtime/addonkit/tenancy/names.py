"""Finds the tenant that an operator names, by every kind of name at once; a name of several tenants is refused.

A client key may equal the host name of another site, or be a number. A lookup that stopped at the first kind with a
match could export or delete the data of another customer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tortoise.expressions import Q

from addonkit.context import Tenant
from addonkit.database.column_values import is_storable_text
from addonkit.database.errors import storage_errors
from addonkit.database.sql import fetch
from addonkit.errors import AddonkitError
from addonkit.tenancy.history import tenants_once_called
from addonkit.tenancy.models import TenantRow
from addonkit.text import near_matches

MAX_NAME = 2000
"""Maximum length of a name in characters; longer text names no tenant."""
MAX_NUMBER = 2**31 - 1
MAX_LISTED = 10
"""Maximum number of tenants that the refusal of an ambiguous name lists."""
MAX_SUGGESTED = 200
"""Maximum number of tenants that are compared with a misspelt name."""
DEPLOYMENT = ("0", "number:0")
"""Names of the deployment itself, where a command takes it in place of a tenant."""

_NUMBER = re.compile(r"(?:number:)?([0-9]{1,10})", re.ASCII)
_BY_KEY = "SELECT id FROM addonkit_tenant WHERE key = ? OR client_key = ? OR cloud_id = ?"
# A client key among the identities is in the tenant's row as well.
_BY_IDENTITY = """
SELECT tenant_id AS id, kind FROM addonkit_identity WHERE value = ? AND kind <> 'client_key' AND retired_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class NamedTenant:
    """A tenant that a name matches.

    Attributes:
        row: The tenant.
        kinds: The kinds of its names that equal the text, such as ``host name``.
    """

    row: TenantRow
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        """Describe the tenant in a list."""
        row = self.row
        return f"{row.id} by its {' and '.join(self.kinds)} ('{row.tenant_key}', {row.product}, {row.state})"


async def find_tenant(text: str) -> Tenant:
    """Find a tenant by its number, key, client key, cloud id, other identities, base or display URL, or host name.

    ``number:2`` is the number 2, also if ``2`` is the client key of another tenant.

    Raises:
        AddonkitError: No tenant matches, and the message lists near matches; or several match, and it lists them.
    """
    with storage_errors():
        found = await _named(text)
        if len(found) == 1:
            return found[0].row.as_tenant()
        if found:
            raise AddonkitError(
                f"'{text}' matches {len(found)} tenants: {_listed(found)}; use the number of one of them, as in "
                f"'number:{found[0].row.id}'"
            )
        raise AddonkitError(f"no tenant matches '{text}'; {await _suggestion(text)}")


async def find_tenant_id(text: str) -> int:
    """Find the number of a tenant as :func:`find_tenant` does; 0 if the text names the deployment itself.

    Raises:
        AddonkitError: As in :func:`find_tenant`, and if the text names both the deployment and a tenant.
    """
    if text not in DEPLOYMENT:
        return (await find_tenant(text)).id
    with storage_errors():
        if found := await _named(text):
            others = "use 'number:0' for the deployment" if text == "0" else "use another name"
            raise AddonkitError(
                f"'{text}' means the deployment itself, and also matches tenant {_listed(found)}; {others}, or "
                f"'number:{found[0].row.id}' for the tenant"
            )
    return 0


async def _named(text: str) -> list[NamedTenant]:
    """Return the tenants that have a name equal to the text, with the kinds of these names, ordered by number."""
    if not _is_storable(text):
        return []
    wanted = _lower(text)
    matches = Q(id__in=await _ids_by_key(text))
    if wanted:
        matches |= Q(base_url__icontains=wanted) | Q(display_url__icontains=wanted)
    if (number := _number(text)) is not None:
        matches |= Q(id=number)
    identities = {identity["id"]: (identity["kind"],) for identity in await fetch(_BY_IDENTITY, [text])}
    matches |= Q(id__in=list(identities))
    rows = await TenantRow.filter(matches).order_by("id")
    named = [NamedTenant(row, (*_kinds(row, text), *identities.get(row.id, ()))) for row in rows]
    return [one for one in named if one.kinds]


async def _ids_by_key(text: str) -> list[int]:
    # Not by the ORM, which refuses text that is longer than the column.
    return [row["id"] for row in await fetch(_BY_KEY, [text, text, text])]


def _kinds(row: TenantRow, text: str) -> Iterator[str]:
    """Yield the kinds of those names in a tenant's row that equal the text; host names and URLs in any case."""
    if row.id == _number(text):
        yield "number"
    if text == row.client_key:
        yield "client key"
    elif text == row.tenant_key:
        yield "key"
    if text == row.cloud_id:
        yield "cloud id"
    wanted = _lower(text)
    # The base URL comes last: it replaces an equal display URL.
    urls = {_lower(row.display_url): "display URL", _lower(row.base_url): "base URL"}
    if wanted in urls:
        yield urls[wanted]
    elif wanted in map(_host, urls):
        yield "host name"


def _lower(url: str) -> str:
    """Return a URL or a host name for a comparison."""
    return url.rstrip("/").lower()


def _number(text: str) -> int | None:
    found = _NUMBER.fullmatch(text)
    number = int(found[1]) if found else 0
    return number if 0 < number <= MAX_NUMBER else None


def _is_storable(text: str) -> bool:
    """Whether the database can compare the text: arguments of a command may contain bytes that are no UTF-8."""
    return 0 < len(text) <= MAX_NAME and is_storable_text(text)


def _listed(found: list[NamedTenant]) -> str:
    listed = ", ".join(map(str, found[:MAX_LISTED]))
    return f"{listed} and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else listed


def _host(base_url: str) -> str:
    """Return the host name of a base URL in lower case, with the port if there is one."""
    try:
        return urlsplit(base_url).netloc.lower()
    except ValueError:
        return ""


async def _suggestion(text: str) -> str:
    if not _is_storable(text):
        return "see 'addonkit tenants list'"
    if former := await tenants_once_called(text):
        return f"tenant {former[-1]} had this key before it got another one"
    for part in _parts(text):
        names: dict[str, int] = {}
        alike = TenantRow.filter(Q(key__icontains=part) | Q(base_url__icontains=part)).order_by("id")
        for row in await alike.limit(MAX_SUGGESTED).only("id", "key", "client_key", "base_url"):
            names |= {row.tenant_key: row.id, row.base_url: row.id, _host(row.base_url): row.id}
        if close := near_matches(text, names):
            return "did you mean " + " or ".join(f"'{name}' (tenant {names[name]})" for name in close)
    return "see 'addonkit tenants list'"


def _parts(text: str) -> tuple[str, str, str]:
    """Return parts of a misspelt name to search for: the first label of its host name, and that label's two halves."""
    word = text.rpartition("://")[2].partition("/")[0].partition(".")[0] or text
    size = max(2, len(word) // 2)
    return word, word[:size], word[-size:]
