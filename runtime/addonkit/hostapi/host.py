"""``Host``, as plugins hold it: one site's API, for whoever sent the request at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from pydantic import BaseModel

from addonkit.calling import caller
from addonkit.context import Tenant
from addonkit.errors import CallForbidden
from addonkit.host import Bounds, HostResponse, Options, Progress, Property, Query, User, Writing
from addonkit.hostapi.call import call_of
from addonkit.hostapi.paging import pages_of
from addonkit.hostapi.properties import property_of

if TYPE_CHECKING:
    from addonkit.hostapi.client import HostClients

M = TypeVar("M", bound=BaseModel)
DEADLINE_S = 20.0
LONGEST_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class SiteHost:
    """One site's REST API, as ``addonkit.Host`` describes it.

    Attributes:
        clients: Of this process.
        tenant: The site.
        account_id: Who sent the request at hand; None is nobody.
        acting: The user that calls are made as; None is the add-on.
        signed: Whether they are made in anybody's name.
    """

    clients: HostClients
    tenant: Tenant
    account_id: str | None
    acting: str | None = None
    signed: bool = True

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> HostResponse:
        """The answer as it came."""
        deadline_s = min(float(options.get("deadline_s", DEADLINE_S)), LONGEST_DEADLINE_S)
        call = call_of(self.tenant.base_url, method, path, options, self.acting, signed=self.signed)
        return await self.clients.answer(self.tenant, call, deadline_s)

    async def get(self, path: str, params: Query | None = None, **options: Unpack[Bounds]) -> Any:
        """The answer to GET."""
        return (await self.request("GET", path, params=params or {}, **options)).json()

    async def post(self, path: str, json: Any = None, **options: Unpack[Writing]) -> Any:
        """The answer to POST."""
        return (await self.request("POST", path, json=json, **options)).json()

    async def put(self, path: str, json: Any = None, **options: Unpack[Writing]) -> Any:
        """The answer to PUT."""
        return (await self.request("PUT", path, json=json, **options)).json()

    async def delete(self, path: str, params: Query | None = None, **options: Unpack[Bounds]) -> Any:
        """The answer to DELETE."""
        return (await self.request("DELETE", path, params=params or {}, **options)).json()

    def pages(
        self, path: str, params: Query | None = None, *, on_progress: Progress | None = None, **options: Unpack[Bounds]
    ) -> AsyncIterator[Any]:
        """All items of a list."""
        return pages_of(self, path, params or {}, options, on_progress)

    def as_user(self, account_id: str | None = None, *, consented: bool = False) -> Self:
        """The same site, asked as a user."""
        who = account_id or self.account_id
        if who is None:
            raise CallForbidden(
                "nobody sent the request at hand, so there is no user to act as; name an account whose consent the "
                "plugin has stored, with consented=True"
            )
        if who != self.account_id and not consented:
            raise CallForbidden(
                "the account is not the one that sent the request at hand; act as that one, or say consented=True "
                "where the plugin has stored this one's consent"
            )
        self.clients.clearance.check_acting(caller().plugin)
        return replace(self, acting=who, signed=True)

    def as_anonymous(self) -> Self:
        """The same site, asked as somebody without an account."""
        return replace(self, acting=None, signed=False)

    def as_addon(self) -> Self:
        """The same site, asked as the add-on."""
        return replace(self, acting=None, signed=True)

    async def may(
        self,
        permission: str,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        account_id: str | None = None,
    ) -> bool:
        """Whether a user may do something."""
        who = account_id or self.account_id
        return await self.clients.permissions.may(
            self.as_addon(), who, permission, issue=issue, project=project, content=content
        )

    async def may_each(
        self, permission: str, *, issues: Collection[str], account_id: str | None = None
    ) -> frozenset[str]:
        """Those of the issues on which a user may do something."""
        if isinstance(issues, str):
            raise TypeError(f"'issues' is the text '{issues[:60]}', expected several numbers; take may() for one")
        who = account_id or self.account_id
        return await self.clients.permissions.among(self.as_addon(), who, permission, "issues", issues)

    async def may_read(
        self, *, issue: str | None = None, content: str | None = None, account_id: str | None = None
    ) -> bool:
        """Whether a user may see an issue or content."""
        if content is not None:
            return await self.may("read", content=content, account_id=account_id)
        return await self.may("BROWSE_PROJECTS", issue=issue or "", account_id=account_id)

    def check_scope(self, method: str, path: str) -> None:
        """Refuse what the plugin at work may not call, before anything else is looked at.

        Raises:
            ScopeMissing: It lacks the scope.
        """
        self.clients.clearance.check(caller().plugin, self.tenant.product, method, path, as_user=False)

    def property(self, model: type[M], key: str, **entity: str) -> Property[M]:
        """One property."""
        return property_of(self, self.tenant.product, self.clients.addon_key, model, key, entity)

    async def users(self, account_ids: Iterable[str]) -> dict[str, User]:
        """Names and pictures."""
        if isinstance(account_ids, str):
            raise TypeError(f"'account_ids' is the text '{account_ids[:60]}', expected several; write [account_id]")
        return await self.clients.known_users.find(self.as_addon(), account_ids)
