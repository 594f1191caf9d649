"""addonkit: a plugin-based runtime for Atlassian Connect add-ons. These are the names that plugins import.

Each is loaded when it is first asked for: a plugin's models, or a test run, need not pay for a web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.context import Context, Licence, Module, Product, Proof, Route, Tenant, TenantState
    from addonkit.errors import (
        AddonkitError,
        AnswerUnusable,
        CallForbidden,
        DescriptorConflict,
        DescriptorInvalid,
        GiveUp,
        HostDown,
        HostError,
        HostLimited,
        PluginError,
        ScopeMissing,
        SettingsInvalid,
        UserRefused,
    )
    from addonkit.extension.guard import exact, own_page, public
    from addonkit.extension.handlers import current_context
    from addonkit.extension.hookspecs import hookimpl
    from addonkit.extension.plugin import Plugin
    from addonkit.host import Answer, Host, Property, User
    from addonkit.tenant_data.model import TenantModel
    from addonkit.tenant_data.scope import current_tenant
    from addonkit.work import Attempt, Call, JobKind, JobSpec, WebhookEvent

__all__ = [
    "AddonkitError",
    "Answer",
    "AnswerUnusable",
    "Attempt",
    "Call",
    "CallForbidden",
    "Context",
    "Deployment",
    "DescriptorConflict",
    "DescriptorInvalid",
    "GiveUp",
    "Host",
    "HostDown",
    "HostError",
    "HostLimited",
    "JobKind",
    "JobSpec",
    "Licence",
    "Module",
    "Plugin",
    "PluginError",
    "Product",
    "Proof",
    "Property",
    "Route",
    "ScopeMissing",
    "SettingsInvalid",
    "Tenant",
    "TenantModel",
    "TenantState",
    "User",
    "UserRefused",
    "WebhookEvent",
    "current_context",
    "current_tenant",
    "exact",
    "hookimpl",
    "own_page",
    "public",
]

_HOMES = {
    "app.deployment": ("Deployment",),
    "context": ("Context", "Licence", "Module", "Product", "Proof", "Route", "Tenant", "TenantState"),
    "errors": (
        "AddonkitError",
        "AnswerUnusable",
        "CallForbidden",
        "DescriptorConflict",
        "DescriptorInvalid",
        "GiveUp",
        "HostDown",
        "HostError",
        "HostLimited",
        "PluginError",
        "ScopeMissing",
        "SettingsInvalid",
        "UserRefused",
    ),
    "extension.guard": ("exact", "own_page", "public"),
    "extension.handlers": ("current_context",),
    "extension.hookspecs": ("hookimpl",),
    "extension.plugin": ("Plugin",),
    "host": ("Answer", "Host", "Property", "User"),
    "tenant_data.model": ("TenantModel",),
    "tenant_data.scope": ("current_tenant",),
    "work": ("Attempt", "Call", "JobKind", "JobSpec", "WebhookEvent"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'addonkit' has no attribute '{name}'")
    return getattr(import_module(f"addonkit.{_HOME[name]}"), name)
