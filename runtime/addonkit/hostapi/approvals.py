"""Scopes that a site has not approved: found out by the host's refusals, stored with the tenant, and tried again.

When a release adds a scope, an administrator of each site has to approve it; until then the host refuses calls that
need it. Such calls pause: they are not sent, except for one a minute in each process, which finds out whether the scope
was approved without ``installed`` or ``enabled`` reaching the add-on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from addonkit.context import Tenant
from addonkit.descriptor.scopes import IMPLIED
from addonkit.errors import HostError, ScopeNotApproved, StorageUnavailable, UserTokenDenied
from addonkit.hostapi.call import HostCall
from addonkit.hostapi.error_responses import messages_of
from addonkit.hostapi.scopes import ACT_AS_USER, required_scope
from addonkit.hostapi.transport import RawResponse
from addonkit.log import structlog
from addonkit.tenancy.approvals import mark_approved, mark_unapproved
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import TenantRecord

TRIAL_S = 60.0
"""Seconds between two calls of one process that try whether a scope was approved in the meantime."""
MAX_SITES = 50_000
REFUSALS = frozenset({401, 403})
_MESSAGES = r"request not in an authorized api scope|(?:unauthorized|forbidden); scope does not match"
_MESSAGE = re.compile(rf"\s*(?:{_MESSAGES})\.?\s*")
_IN_MARKUP = re.compile(rf">\s*(?:message:?\s*)?(?:{_MESSAGES})\.?\s*<")
"""Messages that name a scope as the reason. Every other 403 is a permission that the add-on's own user lacks.

Source: the filter of the host's Connect plugin that checks scopes (``ApiScopingFilter``) answers 403 with the first
message, as JSON, XML or a page; the host's API gateway answers 401 with the second one.
"""
_HEADER = re.compile(r"\berror\s*=\s*\"?insufficient_scope\b")
"""In ``WWW-Authenticate``. Source: RFC 6750, section 3.1."""
TOKEN_REFUSAL = "unauthorized_client"  # noqa: S105 - an error code
"""The token server's error for an add-on that may not act as users. Source: RFC 6749, section 5.2."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Working:
    """With what calls to one site have succeeded since its last install.

    Attributes:
        secret: The secret of that install.
        names: Scopes, and resources as the map of scopes writes them.
    """

    secret: bytes | None = field(repr=False)
    names: set[str] = field(default_factory=set)

    def has(self, record: TenantRecord, name: str) -> bool:
        return name in self.names and self.secret == record.secret


class ScopeApprovals:
    """Pauses calls that need an unapproved scope, and stores what the responses show; each process has one instance.

    Args:
        directory: The cache of tenants.
        clock: Returns Unix time in seconds.
    """

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.time) -> None:
        self._directory, self._clock = directory, clock
        self._tried_at: dict[tuple[str, str], float] = {}
        self._working: dict[str, _Working] = {}

    def check(self, record: TenantRecord, plugin: str, call: HostCall) -> None:
        """Check a call against the scopes that its site has not approved.

        Raises:
            ScopeNotApproved: The call needs one of them, and it is not its turn to try.
            UserTokenDenied: The same for ``ACT_AS_USER``.
        """
        scope = next((each for each in sorted(record.unapproved) if each in _needed(call)), None)
        if scope is None:
            return
        now, key = self._clock(), (record.tenant.key, scope)
        # A time in the future is that of a process whose clock is ahead.
        refused_at = record.unapproved_at if record.unapproved_at <= now else 0.0
        left_s = TRIAL_S - (now - max(refused_at, self._tried_at.get(key, 0.0)))
        if left_s > 0:
            raise _error(record.tenant, plugin, call, scope, "was not sent", left_s)
        if len(self._tried_at) >= MAX_SITES:
            self._tried_at.clear()
        self._tried_at[key] = now

    async def update(self, record: TenantRecord, plugin: str, call: HostCall, response: RawResponse) -> None:
        """Update what is known from a response to a signed call.

        Raises:
            ScopeNotApproved: The host refused the call because the site has not approved its scope.
        """
        if response.status < 400:
            working = self._working.get(record.tenant.key)
            _, resource = required_scope(call.tenant.product, call.method, call.url.path)
            if working is None or record.unapproved or not working.has(record, resource):
                await self._succeeded(record, call, resource)
        elif response.status in REFUSALS and is_scope_refusal(response):
            scope, resource = required_scope(call.tenant.product, call.method, call.url.path)
            if self._is_working(record, scope) and not self._is_working(record, resource):
                # The map of resources is wrong here; a pause of all calls with this scope would be, too.
                raise HostError(
                    f"'{record.tenant.base_url}' refuses '{call.label}' with the scope '{scope}', with which other "
                    "calls succeed, so the resource requires a larger one; add it to the scopes of plugin "
                    f"'{plugin}'",
                    status=response.status,
                )
            await self._refused(record, plugin, scope)
            raise _error(record.tenant, plugin, call, scope, "was refused", TRIAL_S)

    async def update_from_denial(self, record: TenantRecord, plugin: str, denied: UserTokenDenied) -> None:
        """Store that the site has not approved ``ACT_AS_USER``, if that is why the token server gave no token."""
        if denied.code == TOKEN_REFUSAL and not self._is_working(record, ACT_AS_USER):
            await self._refused(record, plugin, ACT_AS_USER)

    async def _succeeded(self, record: TenantRecord, call: HostCall, resource: str) -> None:
        key, approved = record.tenant.key, _needed(call)
        working = self._working.get(key)
        if working is None or working.secret != record.secret:
            if len(self._working) >= MAX_SITES:
                self._working.clear()
            working = self._working[key] = _Working(record.secret)
        working.names.update((resource, *approved))
        if not record.unapproved & approved:
            return
        try:
            cleared = await mark_approved(record.tenant.id, approved)
        except StorageUnavailable as error:
            log.warning("host.approval_not_stored", tenant=key, reason=str(error))
            return
        self._directory.forget(key)
        if cleared:
            log.info("host.scopes_approved", tenant=key, scopes=sorted(cleared))

    async def _refused(self, record: TenantRecord, plugin: str, scope: str) -> None:
        key = record.tenant.key
        try:
            is_new = await mark_unapproved(record.tenant.id, scope, int(self._clock()))
        except StorageUnavailable as error:
            log.warning("host.approval_not_stored", tenant=key, reason=str(error))
            return
        self._directory.forget(key)
        if is_new:
            log.warning("host.scope_not_approved", tenant=key, scope=scope, plugin=plugin)

    def _is_working(self, record: TenantRecord, name: str) -> bool:
        working = self._working.get(record.tenant.key)
        return working is not None and working.has(record, name)


def is_scope_refusal(response: RawResponse) -> bool:
    """Whether the host refused a call because the site has not approved a scope, and not for lack of a permission.

    The whole message has to be the host's: text of users may contain the words.
    """
    if response.status not in REFUSALS:
        return False
    if _HEADER.search(response.headers.get("www-authenticate", "").lower()):
        return True
    text = response.content.decode("utf-8", "replace").lower()
    if "html" in (kind := response.headers.get("content-type", "").lower()) or "xml" in kind:
        return bool(_IN_MARKUP.search(text))
    found = [message.lower() for message in messages_of(response.content)]
    return any(_MESSAGE.fullmatch(each) for each in (*found, text[:200]))


def _needed(call: HostCall) -> frozenset[str]:
    """Return the scopes without any of which the host refuses a call: a scope includes those that it implies."""
    scope = required_scope(call.tenant.product, call.method, call.url.path)[0]
    needed = {scope, *IMPLIED.get(scope, ())} - {"NONE"}
    return frozenset(needed if call.acting is None else needed | {ACT_AS_USER})


def _error(tenant: Tenant, plugin: str, call: HostCall, scope: str, what: str, retry_after_s: float) -> HostError:
    message = (
        f"the site has not approved {scope} yet, so '{call.label}' of plugin '{plugin}' to '{tenant.base_url}' {what}; "
        "an administrator of the site has to approve the update of the add-on"
    )
    if scope == ACT_AS_USER:
        return UserTokenDenied(message, reason="scope", status=403)
    return ScopeNotApproved(message, scope=scope, retry_after_s=retry_after_s)
