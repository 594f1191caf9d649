"""Values that all layers share: tenants, contexts of requests, modules and routes.

They are frozen and do no I/O. Host calls are made by the layers above.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from addonkit.current import host_of, sibling_of
from addonkit.errors import ClientKeyMissing
from addonkit.host import Host

Product = Literal["jira", "confluence"]
NOTHING: Mapping[str, str] = MappingProxyType({})
SCOPE_KEY = "addonkit"
"""Where the ASGI scope holds an ``Inbound``."""


class Proof(StrEnum):
    """How a request was authenticated, strongest first."""

    EXACT = "exact"
    """The host signed this method, path and query."""
    CONTEXT = "context"
    """The host signed the user and the objects of a page, for any request of that page."""
    SESSION = "session"
    """The add-on signed the facts of a page that was requested with an exact proof."""
    NONE = "none"
    """The request is not authenticated."""


class Record(Protocol):
    """The record of one request for metrics and the access log; the application writes its part of it.

    Attributes:
        refused: The kind of the refusal, if it was one.
        reason: Why the request is refused, for the log.
        error: Name of the class of the exception that the request failed with, if it failed.
        is_logged: Whether an event of the log tells that the request failed.
    """

    refused: str | None
    reason: str | None
    error: str | None
    is_logged: bool

    def answered_by(self, plugin: str, route: str, template: str = "") -> None:
        """Record the plugin and the name of the endpoint that answer, and its path with its placeholders."""


class TenantState(StrEnum):
    """The state of a tenant, by its last lifecycle event."""

    INSTALLED = "installed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNINSTALLED = "uninstalled"
    GONE = "gone"
    """Its site has disappeared without an uninstall, see ``[tenants] gone_days``."""


class Licence(StrEnum):
    """The state of a site's licence for the add-on, as the host reports it.

    Source: ``lic=active`` means a paid, trial or developer licence; ``lic=none`` means none or an invalid one; requests
    to free add-ons contain no ``lic``.
    """

    ACTIVE = "active"
    NONE = "none"
    UNKNOWN = "unknown"


class Sibling(Protocol):
    """The tenant of the other product on the same site, for a plugin with ``siblings=True``."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def product(self) -> Product:
        """Its product."""

    @property
    def base_url(self) -> str:
        """Root of its REST API."""

    @property
    def display_url(self) -> str:
        """The URL that its users see, for links only."""

    def scope(self) -> AbstractContextManager[Tenant]:
        """Make it the current tenant for a ``with`` block: models read its rows, ``tenant.host`` calls its host.

        Rows are read-only in the block, and jobs cannot be enqueued.

        Raises:
            SiblingForbidden: The tenant whose sibling this is, is not the current one.
        """


@dataclass(frozen=True, slots=True)
class Tenant:
    """One site that installed the add-on, as plugins see it, without secrets.

    Attributes:
        id: The number that addonkit assigns; rows of plugins have it as ``tenant_id``.
        key: The name that addonkit has for it, at most 300 characters: in logs, in commands, in stored secrets. It is
            the client key of a site that installed through Connect.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Root of its REST API, without a trailing slash; Confluence's ends in ``/wiki``.
        display_url: The URL that its users see, for links only; the base URL if the host sent none.
        state: Its pages are served while this is ``installed`` or ``enabled``.
        connect_key: The client key; None for a tenant that has none. Plugins read :attr:`client_key`.
        help_center_url: Origin of the help center of Jira Service Management, if it has a domain of its own.
    """

    id: int
    key: str
    product: Product
    base_url: str
    display_url: str
    state: TenantState
    connect_key: str | None = None
    help_center_url: str | None = None

    @property
    def client_key(self) -> str:
        """Connect's identifier of the installation, at most 255 characters.

        Raises:
            ClientKeyMissing: The tenant has none.
        """
        if self.connect_key is None:
            raise ClientKeyMissing(f"tenant {self.id} has no client key; use tenant.key, which every tenant has")
        return self.connect_key

    def is_active(self) -> bool:
        """Return whether its pages are served."""
        return self.state in (TenantState.INSTALLED, TenantState.ENABLED)

    @property
    def host(self) -> Host:
        """The site's REST API, called as the add-on. There is no current user, as in a job."""
        return host_of(self, None)

    async def sibling(self) -> Sibling | None:
        """Give the tenant of the other product on the same site, in one or two queries; it must be current.

        There is one if each product has exactly one tenant there that is not uninstalled, and both are enabled. Sites
        are compared by host name, and by cloud id where it is known.

        Raises:
            SiblingForbidden: The plugin has no ``siblings=True``, or this is not the current tenant.
            StorageUnavailable: The database did not answer.
        """
        return await sibling_of(self)


@dataclass(frozen=True, slots=True)
class Context:
    """The verified facts of one inbound request.

    Attributes:
        tenant: The tenant, from the verified token only.
        account_id: The user's Atlassian account id, at most 128 characters; None for an anonymous visitor.
        licence: The licence as stated by this request, or by the page that sent it.
        objects: The objects that the page is about, by parameter name: ``{"issue_key": "AB-1"}``. They say where the
            user is, not what the user may do.
        proof: How the request was authenticated.
        page: With a session, the endpoint of the page that the session was given to, ``<plugin>.<function>``.
    """

    tenant: Tenant
    account_id: str | None
    licence: Licence
    objects: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    proof: Proof = Proof.EXACT
    page: str | None = None

    @property
    def host(self) -> Host:
        """The site's REST API, with the request's user as the current user."""
        return host_of(self.tenant, self.account_id)


class Inbound(NamedTuple):
    """The value that the edge passes to the application with one request, at ``SCOPE_KEY`` of the ASGI scope.

    Attributes:
        context: The verified facts; None where the request carries no credential.
        request_id: The request's id, for the log and for refusals.
        record: Where it is noted what became of the request.
        is_local: Whether caller and add-on are on this machine, so that a refusal may show its reason.
    """

    context: Context | None
    request_id: str
    record: Record
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of the descriptor's ``modules``.

    Attributes:
        type: The module type, such as ``jiraIssueContents``.
        plugin: Name of the plugin that declares it.
        body: The module's fields in the descriptor, JSON values only.
        product: The product whose module it is, where both have its type; None if its type says so, or nobody does. A
            descriptor does not contain it, a Forge manifest needs it.
    """

    type: str
    plugin: str
    body: Mapping[str, Any]
    product: Product | None = None

    @property
    def key(self) -> str | None:
        """Its key, unique in the add-on; None for webhooks."""
        key = self.body.get("key")
        return key if isinstance(key, str) else None


class Demand(StrEnum):
    """What a route requires before its handler runs."""

    EXACT = "exact"
    """An exact proof: the host signed this request. Used by pages of modules."""
    OWN_PAGE = "own page"
    """A session or a context token. Used by routes that the plugin's own pages call."""
    NOTHING = "nothing"
    """No proof: the route is open to everybody."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a plugin, with its demand and limits.

    Attributes:
        plugin: The plugin's name.
        endpoint: Quart's name for it, ``<plugin>.<function>``.
        demand: The proof that it demands.
        licensed: Whether the site needs an active licence.
        max_body: Largest request body, in bytes.
        timeout_s: Longest run time of the handler, in seconds.
        pages: Endpoints of the pages whose sessions it accepts; if empty, it also accepts those of the plugin's other
            pages, and context tokens.
    """

    plugin: str
    endpoint: str
    demand: Demand
    licensed: bool = False
    max_body: int = 1024 * 1024
    timeout_s: float = 25.0
    pages: frozenset[str] = frozenset()
