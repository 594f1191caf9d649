"""``SiteHost``: the implementation of ``addonkit.Host`` that plugins hold, for one site."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar, Unpack

from pydantic import BaseModel

from addonkit.context import Tenant
from addonkit.current import current_caller
from addonkit.errors import CallForbidden, HostError, HostUnavailable, RateLimited, ResponseInvalid
from addonkit.host import (
    MAX_DOWNLOAD_BYTES,
    Access,
    Attachment,
    CallOptions,
    Download,
    Host,
    HostResponse,
    ProgressCallback,
    Property,
    Query,
    RequestOptions,
    User,
)
from addonkit.hostapi import retry
from addonkit.hostapi.attachments import check_name, download_path, parse_attachment, upload_path
from addonkit.hostapi.call import CallProgress, HostCall, build_call
from addonkit.hostapi.downloads import Downloads
from addonkit.hostapi.error_responses import error_of
from addonkit.hostapi.paging import iterate_pages
from addonkit.hostapi.permissions import Permissions, subject_of
from addonkit.hostapi.properties import build_property
from addonkit.hostapi.rate_limit import RateLimits
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.transport import RawResponse
from addonkit.hostapi.users import Users
from addonkit.log import structlog
from addonkit.tenant_data.scope import in_open_transaction

M = TypeVar("M", bound=BaseModel)
DEFAULT_DEADLINE_S = 20.0
FILE_DEADLINE_S = 120.0
MAX_DEADLINE_S = 600.0

CallObserver = Callable[[str, str, float, int], None]
"""Called after each host call with the plugin, the outcome, the duration in seconds, and the number of requests."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts of this process that every host call passes.

    Attributes:
        addon_key: The add-on's key.
        scopes: Checks each call against the plugin's scopes.
        limits: The rate limits of all sites.
        transmit: Signs and sends a call once.
        permissions: The cache of users' permissions.
        users: The cache of users' names.
        downloads: Opens files.
        observe: Called after each call.
    """

    addon_key: str
    scopes: ScopeCheck
    limits: RateLimits
    transmit: retry.Transmit
    permissions: Permissions
    users: Users
    downloads: Downloads
    observe: CallObserver | None = None


@dataclass(frozen=True, slots=True)
class SiteHost(Host):
    """One site's REST API; the methods are documented at ``addonkit.Host``.

    Attributes:
        pipeline: What sends the calls.
        tenant: The site.
        account_id: The user who sent the current request; None if there is none.
        acting: Account id of the user whom calls act as; None is the add-on.
        signed: Whether calls carry a token; without one they are anonymous.
    """

    pipeline: Pipeline
    tenant: Tenant
    account_id: str | None
    acting: str | None = None
    signed: bool = True

    async def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> HostResponse:
        """Send a request: build the call, check its scope, and send it with retries; log and count the outcome."""
        call = build_call(self.tenant, method, path, options, self.acting, signed=self.signed)
        response = await self._send(call, options.get("deadline_s", DEFAULT_DEADLINE_S), CallProgress())
        return HostResponse(response.status, response.headers, response.content, call.label)

    def download(
        self,
        path: str | None = None,
        params: Query | None = None,
        *,
        attachment: str | None = None,
        content: str | None = None,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        deadline_s: float = FILE_DEADLINE_S,
    ) -> AbstractAsyncContextManager[Download]:
        """Receive a file, piece by piece."""
        if (path is None) == (attachment is None):
            raise TypeError("a download is of one file; pass either a path or attachment")
        path = path or download_path(self.tenant.product, attachment or "", content)
        options: RequestOptions = {"params": params or {}, "max_bytes": max_bytes, "headers": {"accept": "*/*"}}
        call = build_call(self.tenant, "GET", path, options, self.acting, signed=self.signed)
        return self.pipeline.downloads.receive(call, self._send, min(float(deadline_s), MAX_DEADLINE_S))

    async def upload(
        self,
        name: str,
        data: bytes,
        *,
        issue: str | None = None,
        content: str | None = None,
        content_type: str = "application/octet-stream",
        deadline_s: float = FILE_DEADLINE_S,
    ) -> Attachment:
        """Attach a file to an issue or to content."""
        method, path = upload_path(self.tenant.product, issue, content)
        form = {"file": (check_name(name), data, content_type)}
        response = await self.request(method, path, files=form, deadline_s=deadline_s, idempotent=False)
        return parse_attachment(response.json(), response.call)

    async def _send(self, call: HostCall, deadline_s: float, progress: CallProgress) -> RawResponse:
        """Send a call and return its response; that of a streamed call may be a redirect off the site.

        Raises:
            CallForbidden: The call was not sent.
            HostError: It failed.
        """
        if in_open_transaction():
            # On SQLite, every other writer would wait for the host as well.
            raise CallForbidden(
                f"'{call.label}' is called inside a transaction, which holds the database's lock until the host has "
                "responded; end the transaction first"
            )
        pipeline, who = self.pipeline, current_caller()
        if who.tenant is not None and who.tenant.id != self.tenant.id:
            raise CallForbidden(
                f"'{call.label}' goes to the host of tenant {self.tenant.id} in the scope of tenant {who.tenant.id}; "
                "call a host in the scope of its own tenant"
            )
        pipeline.scopes.check_call(who.plugin, call)
        started, outcome = time.monotonic(), "aborted"
        try:
            response = await retry.send(
                call,
                who,
                pipeline.limits,
                pipeline.transmit,
                check_scope=pipeline.scopes.check_call,
                deadline=started + min(float(deadline_s), MAX_DEADLINE_S),
                progress=progress,
            )
            if response.status >= 300 and not (call.streamed and response.status in retry.REDIRECT_STATUSES):
                raise error_of(response, call.label, self.tenant.base_url)
            outcome = f"{response.status // 100}xx"
        except HostError as error:
            outcome = _outcome(error)
            raise
        finally:
            seconds, requests = time.monotonic() - started, progress.requests
            log.debug("host.request_sent", call=call.label, outcome=outcome, seconds=round(seconds, 4), sent=requests)
            if pipeline.observe is not None:
                pipeline.observe(who.plugin, outcome, seconds, requests)
        return response

    def pages(
        self,
        path: str,
        params: Query | None = None,
        *,
        on_progress: ProgressCallback | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[Any]:
        """Iterate over all items of a paginated list."""
        return iterate_pages(self, self.tenant, path, params or {}, options, on_progress)

    def as_user(self, account_id: str | None = None, *, consented: bool = False) -> Self:
        """Return this host acting as a user."""
        user = account_id or self.account_id
        if user is None:
            raise CallForbidden(
                "the current request has no user to act as; pass an account id whose consent the plugin has stored, "
                "with consented=True"
            )
        if user != self.account_id and not consented:
            raise CallForbidden(
                "the account is not the user who sent the current request; act as that user, or pass consented=True if "
                "the plugin has stored the consent of this account"
            )
        self.pipeline.scopes.check_acting(current_caller().plugin)
        return replace(self, acting=user, signed=True)

    def as_anonymous(self) -> Self:
        """Return this host acting as an anonymous visitor."""
        return replace(self, acting=None, signed=False)

    def as_addon(self) -> Self:
        """Return this host acting as the add-on."""
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
        """Whether a user has a permission."""
        found = await self.access(permission, issue=issue, project=project, content=content, account_id=account_id)
        return found is Access.GRANTED

    async def access(
        self,
        permission: str,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        account_id: str | None = None,
    ) -> Access:
        """Return whether a user has a permission, or that the add-on may not see the object."""
        kind, subject = subject_of(issue=issue, project=project, content=content)
        return (await self._access(permission, kind, [subject], account_id))[subject]

    async def may_each(
        self, permission: str, *, issues: Collection[str], account_id: str | None = None
    ) -> frozenset[str]:
        """Return the ids of those issues for which a user has a permission."""
        if isinstance(issues, str):
            raise TypeError(f"'issues' is the string '{issues[:60]}', expected a list of ids; use may() for one issue")
        found = await self._access(permission, "issues", issues, account_id)
        return frozenset(number for number, answer in found.items() if answer is Access.GRANTED)

    def property(self, model: type[M], key: str, **entity: str) -> Property[M]:
        """Return a property of the add-on, or of one entity of the site."""
        return build_property(self, self.tenant.product, self.pipeline.addon_key, model, key, entity)

    async def users(self, account_ids: Iterable[str]) -> dict[str, User]:
        """Return names and pictures by account id."""
        if isinstance(account_ids, str):
            raise TypeError(
                f"'account_ids' is the string '{account_ids[:60]}', expected a list of ids; write [account_id]"
            )
        return await self.pipeline.users.find(
            self.as_addon(), self.tenant, account_ids, check_scope=self._check_addon_scope
        )

    async def _access(
        self, permission: str, kind: str, subjects: Collection[str], account_id: str | None
    ) -> dict[str, Access]:
        return await self.pipeline.permissions.access(
            self.as_addon(),
            self.tenant,
            account_id or self.account_id,
            permission,
            kind,
            subjects,
            check_scope=self._check_addon_scope,
        )

    def _check_addon_scope(self, method: str, path: str) -> None:
        """Check the scope of a call as the add-on, even if a cache answers it.

        Raises:
            ScopeMissing: The current plugin lacks the scope.
        """
        self.pipeline.scopes.check(current_caller().plugin, self.tenant.product, method, path, as_user=False)


def _outcome(error: HostError) -> str:
    if isinstance(error, HostUnavailable):
        return "unavailable"
    if isinstance(error, RateLimited):
        return "rate_limited"
    if isinstance(error, ResponseInvalid):
        return "invalid"
    return f"{error.status // 100}xx" if error.status else "invalid"
