"""The values that all parts speak of: who is asking, on behalf of which site, and what a plugin brings.

Frozen, without I/O. What a context can do is added by the layers above through protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, Protocol

from addonkit.current import host_of
from addonkit.host import Host

Product = Literal["jira", "confluence"]
NOTHING: Mapping[str, str] = MappingProxyType({})
SCOPE_KEY = "addonkit"
"""Where the ASGI scope holds an ``Inbound``."""


class Proof(StrEnum):
    """How a request was shown to come from the site that it names, strongest first."""

    EXACT = "exact"
    """The host signed this very method, path and query."""
    CONTEXT = "context"
    """The host signed who is looking and at what, for any request of ours."""
    SESSION = "session"
    """We signed what an exact page had shown."""
    NONE = "none"
    """Nobody signed anything."""


class Record(Protocol):
    """What became of one request, for metrics and the access log; the application fills its part in.

    Attributes:
        refused: The kind of the refusal, if it was one.
    """

    refused: str | None

    def answered_by(self, plugin: str, route: str) -> None:
        """Note the plugin that answered, and the endpoint's name."""


class TenantState(StrEnum):
    """Where a site stands in its life with us."""

    INSTALLED = "installed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNINSTALLED = "uninstalled"


class Licence(StrEnum):
    """What the host says of a site's licence.

    Source: ``lic=active`` stands for a paid, trial or developer licence; ``lic=none`` for none or an invalid one; free
    add-ons are told nothing.
    """

    ACTIVE = "active"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One site that installed the add-on, as plugins see it: no secrets.

    Attributes:
        id: Our number for it; plugins' rows carry it as ``tenant_id``.
        client_key: The host's opaque name for it, at most 255 characters.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Root of its REST API, without a trailing slash; Confluence's ends in ``/wiki``.
        display_url: Where its users see it, for links alone; the base URL if the host named none.
        state: Pages are served while it is installed or enabled.
    """

    id: int
    client_key: str
    product: Product
    base_url: str
    display_url: str
    state: TenantState

    def is_active(self) -> bool:
        """Whether its pages are served."""
        return self.state in (TenantState.INSTALLED, TenantState.ENABLED)

    @property
    def host(self) -> Host:
        """The product's REST API on this site, asked as the add-on. A job has no user at hand."""
        return host_of(self, None)


@dataclass(frozen=True, slots=True)
class Context:
    """What one request is about, as far as it was proven.

    Attributes:
        tenant: The site, from a verified token and from nowhere else.
        account_id: The user's Atlassian account id, at most 128 characters; None is an anonymous visitor.
        licence: What the host said with this request, or with the page that it came from.
        objects: What the user is looking at, by parameter name: ``{"issue_key": "AB-1"}``. Where a user is, not what
            they may do.
        proof: How all this was shown.
    """

    tenant: Tenant
    account_id: str | None
    licence: Licence
    objects: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    proof: Proof = Proof.EXACT

    @property
    def host(self) -> Host:
        """The product's REST API on this site; who looks is known to it."""
        return host_of(self.tenant, self.account_id)


@dataclass(frozen=True, slots=True)
class Inbound:
    """What the edge hands to the application with one request: the value at ``SCOPE_KEY`` of the ASGI scope.

    Attributes:
        context: The verified facts; None where the request carries no credential.
        request_id: The request's id, for the log and for refusals.
        record: Where it is noted what became of the request.
    """

    context: Context | None
    request_id: str
    record: Record


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of the descriptor's ``modules``.

    Attributes:
        type: The host's name for the kind of place, such as ``jiraIssueContents``.
        plugin: Name of the plugin that brings it.
        body: What stands in the descriptor, JSON values only.
    """

    type: str
    plugin: str
    body: Mapping[str, Any]

    @property
    def key(self) -> str | None:
        """Its key, unique in the add-on; webhooks have none."""
        key = self.body.get("key")
        return key if isinstance(key, str) else None


class Demand(StrEnum):
    """What a route wants to be shown before its handler runs."""

    EXACT = "exact"
    """Module pages: the host signed this request."""
    OWN_PAGE = "own page"
    """Routes called by the plugin's own pages: a session or a context token."""
    NOTHING = "nothing"
    """Open to everybody."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a plugin, as the runtime guards it.

    Attributes:
        plugin: The plugin's name.
        endpoint: Quart's name for it, ``<plugin>.<function>``.
        demand: What a caller must show.
        licensed: Whether the site needs an active licence.
        max_body: Largest request body, in bytes.
        timeout_s: Longest time that the handler may take, in seconds.
    """

    plugin: str
    endpoint: str
    demand: Demand
    licensed: bool = False
    max_body: int = 1024 * 1024
    timeout_s: float = 25.0
