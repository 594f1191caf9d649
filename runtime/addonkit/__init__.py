"""addonkit: a plugin-based runtime for Atlassian Connect add-ons. These are the public names for plugins.

Each name is imported on first use, so that models and tests of a plugin do not load a web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.app.embedded import asgi
    from addonkit.context import Context, Licence, Module, Product, Proof, Route, Sibling, Tenant, TenantState
    from addonkit.errors import (
        AddonkitError,
        CallForbidden,
        ClientKeyMissing,
        CrossTenantWrite,
        DescriptorConflict,
        DescriptorInvalid,
        GiveUp,
        HostError,
        HostUnavailable,
        ObjectIdInvalid,
        PluginError,
        RateLimited,
        ResponseInvalid,
        ScopeMissing,
        ScopeNotApproved,
        SettingsInvalid,
        SiblingForbidden,
        StorageUnavailable,
        TenantMissing,
        UserTokenDenied,
    )
    from addonkit.extension.guard import exact, own_page, public
    from addonkit.extension.handlers import current_context
    from addonkit.extension.hookspecs import hookimpl
    from addonkit.extension.plugin import Plugin
    from addonkit.failure import FailureFacts, FailureKind
    from addonkit.host import Access, Attachment, Download, Host, HostResponse, Property, User
    from addonkit.tenant_data.model import TenantModel
    from addonkit.tenant_data.scope import current_tenant
    from addonkit.tenant_data.transaction_lock import transaction_lock
    from addonkit.webhook_event import WebhookEvent
    from addonkit.work import Attempt, JobInvocation, JobKind, JobSpec

__all__ = [
    "Access",
    "AddonkitError",
    "Attachment",
    "Attempt",
    "CallForbidden",
    "ClientKeyMissing",
    "Context",
    "CrossTenantWrite",
    "Deployment",
    "DescriptorConflict",
    "DescriptorInvalid",
    "Download",
    "FailureFacts",
    "FailureKind",
    "GiveUp",
    "Host",
    "HostError",
    "HostResponse",
    "HostUnavailable",
    "JobInvocation",
    "JobKind",
    "JobSpec",
    "Licence",
    "Module",
    "ObjectIdInvalid",
    "Plugin",
    "PluginError",
    "Product",
    "Proof",
    "Property",
    "RateLimited",
    "ResponseInvalid",
    "Route",
    "ScopeMissing",
    "ScopeNotApproved",
    "SettingsInvalid",
    "Sibling",
    "SiblingForbidden",
    "StorageUnavailable",
    "Tenant",
    "TenantMissing",
    "TenantModel",
    "TenantState",
    "User",
    "UserTokenDenied",
    "WebhookEvent",
    "asgi",
    "current_context",
    "current_tenant",
    "exact",
    "hookimpl",
    "own_page",
    "public",
    "transaction_lock",
]

_MODULES = {
    "app.deployment": ("Deployment",),
    "app.embedded": ("asgi",),
    "context": ("Context", "Licence", "Module", "Product", "Proof", "Route", "Sibling", "Tenant", "TenantState"),
    "errors": (
        "AddonkitError",
        "ResponseInvalid",
        "CallForbidden",
        "ClientKeyMissing",
        "CrossTenantWrite",
        "DescriptorConflict",
        "DescriptorInvalid",
        "GiveUp",
        "HostUnavailable",
        "HostError",
        "ObjectIdInvalid",
        "RateLimited",
        "PluginError",
        "ScopeMissing",
        "ScopeNotApproved",
        "SettingsInvalid",
        "SiblingForbidden",
        "StorageUnavailable",
        "TenantMissing",
        "UserTokenDenied",
    ),
    "failure": ("FailureFacts", "FailureKind"),
    "extension.guard": ("exact", "own_page", "public"),
    "extension.handlers": ("current_context",),
    "extension.hookspecs": ("hookimpl",),
    "extension.plugin": ("Plugin",),
    "host": ("Access", "Attachment", "Download", "HostResponse", "Host", "Property", "User"),
    "tenant_data.model": ("TenantModel",),
    "tenant_data.scope": ("current_tenant",),
    "tenant_data.transaction_lock": ("transaction_lock",),
    "webhook_event": ("WebhookEvent",),
    "work": ("Attempt", "JobInvocation", "JobKind", "JobSpec"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'addonkit' has no attribute '{name}'")
    return getattr(import_module(f"addonkit.{_MODULE_OF[name]}"), name)
