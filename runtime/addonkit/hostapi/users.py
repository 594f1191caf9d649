"""Names and pictures of users, requested from the host in bulk and cached in memory for ten minutes.

They are personal data and stored nowhere else: a change or an erasure takes effect here after that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from cachetools import TTLCache

from addonkit.context import Product, Tenant
from addonkit.errors import ResponseInvalid
from addonkit.host import Host, Query, User

CACHE_S = 600.0
MAX_CACHED = 20_000
BATCH_SIZE = 90
"""Source: the host's bulk resources accept more ids, but not URLs of more than some 8,000 characters."""
_AVATAR_SIZE = "48x48"


class Users:
    """Requests users in bulk and caches them; each process has one instance."""

    def __init__(self) -> None:
        self._cache: TTLCache[tuple[int, str], User] = TTLCache(MAX_CACHED, CACHE_S)

    async def find(
        self, host: Host, tenant: Tenant, account_ids: Iterable[str], *, check_scope: Callable[[str, str], None]
    ) -> dict[str, User]:
        """Return one user for each account id, in their order.

        Args:
            host: The site, as the add-on.
            tenant: The site.
            account_ids: The accounts; duplicates are ignored.
            check_scope: Checks the plugin's scope, even if another plugin has requested the users and they are cached.

        Raises:
            ScopeMissing: The plugin lacks the scope.
            HostError: The host did not answer, or refused.
        """
        check_scope("GET", _path(tenant.product))
        ids = list(dict.fromkeys(account_ids))
        known = {each: user for each in ids if (user := self._cache.get((tenant.id, each))) is not None}
        unknown = [each for each in ids if each not in known]
        for start in range(0, len(unknown), BATCH_SIZE):
            batch = unknown[start : start + BATCH_SIZE]
            found = {user.account_id: user for user in await _request(host, tenant, batch)}
            for each in batch:
                known[each] = self._cache[tenant.id, each] = found.get(each, User(each))
        return {each: known[each] for each in ids}


async def _request(host: Host, tenant: Tenant, ids: list[str]) -> list[User]:
    is_jira = tenant.product == "jira"
    path, list_name = _path(tenant.product), "values" if is_jira else "results"
    params: Query = {"accountId": ids, "maxResults": BATCH_SIZE if is_jira else None}
    response: Any = await host.get(path, params)
    entries = response.get(list_name) if isinstance(response, dict) else None
    if not isinstance(entries, list):
        raise ResponseInvalid(f"the host's response to 'GET {path}' contains no list '{list_name}'")
    return [_parse(tenant.base_url, entry) for entry in entries if isinstance(entry, dict)]


def _parse(base_url: str, entry: dict[str, Any]) -> User:
    """Return a user from an entry of the response, in Jira's or Confluence's format."""
    name = entry.get("displayName") or entry.get("publicName") or ""
    avatars, picture = entry.get("avatarUrls"), entry.get("profilePicture")
    url = avatars.get(_AVATAR_SIZE) if isinstance(avatars, dict) else None
    if url is None and isinstance(picture, dict):
        url = picture.get("path")
    parts = urlsplit(base_url)
    if isinstance(url, str) and url.startswith("/") and not url.startswith("//"):
        url = f"{parts.scheme}://{parts.netloc}{url}"
    is_safe = isinstance(url, str) and url.startswith(("https://", f"{parts.scheme}://"))
    return User(
        account_id=str(entry.get("accountId", "")),
        name=str(name),
        avatar_url=url if is_safe else None,
        is_active=entry.get("active") is not False,
    )


def _path(product: Product) -> str:
    return "/rest/api/3/user/bulk" if product == "jira" else "/rest/api/user/bulk"
