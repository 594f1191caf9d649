"""Names and pictures of users: asked together, kept in memory for some minutes and nowhere else.

What is stored of a person is the account id alone; a name that was changed or erased is gone within minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cachetools import TTLCache

from addonkit.errors import ResponseInvalid
from addonkit.host import Query, User

if TYPE_CHECKING:
    from addonkit.hostapi.host import SiteHost

REMEMBERED_S = 600.0
MOST = 20_000
AT_ONCE = 90
"""Source: the host's bulk resources take more, addresses of some 8,000 characters do not."""
_SIZE = "48x48"


class Users:
    """Whom this process knows."""

    def __init__(self) -> None:
        self._known: TTLCache[tuple[int, str], User] = TTLCache(MOST, REMEMBERED_S)

    async def find(self, host: SiteHost, account_ids: Iterable[str]) -> dict[str, User]:
        """One entry for each account, in the order of the ids; see ``Host.users``.

        Raises:
            HostError: The host gave no answer.
        """
        # also for those who are known already: a plugin gets no name by another's scope
        host.check_scope("GET", _path(host))
        ids, site = list(dict.fromkeys(account_ids)), host.tenant.id
        known = {one: user for one in ids if (user := self._known.get((site, one))) is not None}
        unknown = [one for one in ids if one not in known]
        for start in range(0, len(unknown), AT_ONCE):
            asked = unknown[start : start + AT_ONCE]
            found = {user.account_id: user for user in await _asked(host, asked)}
            for one in asked:
                known[one] = self._known[site, one] = found.get(one, User(one))
        return {one: known[one] for one in ids}


async def _asked(host: SiteHost, ids: list[str]) -> list[User]:
    is_jira = host.tenant.product == "jira"
    path, items = _path(host), "values" if is_jira else "results"
    params: Query = {"accountId": ids, "maxResults": AT_ONCE if is_jira else None}
    found: Any = await host.get(path, params)
    listed = found.get(items) if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ResponseInvalid(f"the host's answer to 'GET {path}' has no list '{items}'")
    return [_user(host.tenant.base_url, one) for one in listed if isinstance(one, dict)]


def _user(base_url: str, said: dict[str, Any]) -> User:
    """A user as either product tells of one."""
    name = said.get("displayName") or said.get("publicName") or ""
    pictures, picture = said.get("avatarUrls"), said.get("profilePicture")
    url = pictures.get(_SIZE) if isinstance(pictures, dict) else None
    if url is None and isinstance(picture, dict):
        url = picture.get("path")
    parts = urlsplit(base_url)
    if isinstance(url, str) and url.startswith("/") and not url.startswith("//"):
        url = f"{parts.scheme}://{parts.netloc}{url}"
    fit = isinstance(url, str) and url.startswith(("https://", f"{parts.scheme}://"))
    return User(str(said.get("accountId", "")), str(name), url if fit else None, said.get("active") is not False)


def _path(host: SiteHost) -> str:
    return "/rest/api/3/user/bulk" if host.tenant.product == "jira" else "/rest/api/user/bulk"
