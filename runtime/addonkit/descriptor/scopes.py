"""Scopes: permissions that a site's administrator grants the add-on, and which of them modules need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from addonkit.context import Module
from addonkit.errors import DescriptorInvalid
from addonkit.text import near_matches

SCOPES = (
    "NONE",
    "READ",
    "WRITE",
    "DELETE",
    "PROJECT_ADMIN",
    "SPACE_ADMIN",
    "ADMIN",
    "ACT_AS_USER",
    "ACCESS_EMAIL_ADDRESSES",
)
"""Every scope in the host's order."""

IMPLIED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "WRITE": frozenset({"READ"}),
        "DELETE": frozenset({"READ", "WRITE"}),
        "PROJECT_ADMIN": frozenset({"READ", "WRITE"}),
        "SPACE_ADMIN": frozenset({"READ", "WRITE"}),
        "ADMIN": frozenset({"READ", "WRITE", "DELETE", "PROJECT_ADMIN", "SPACE_ADMIN"}),
    }
)
"""Scopes that a scope certainly includes; ``NONE`` is included in every other.

Sources disagree on whether the scopes for projects and spaces include ``DELETE``, so it is not listed for them.
"""

# Source: the host refuses to install a descriptor with webhooks but without this scope. No such rule is known for
# other types.
_NEEDED: Mapping[str, str] = MappingProxyType({"webhooks": "READ"})


def check_names(plugin: str, names: Iterable[str]) -> frozenset[str]:
    """Return a plugin's scopes in upper case.

    Raises:
        DescriptorInvalid: The host has no scope of that name.
    """
    asked = frozenset(name.upper() for name in names)
    for name in sorted(asked - frozenset(SCOPES)):
        matches = near_matches(name, SCOPES) or SCOPES
        meant = " or ".join(f"'{match}'" for match in matches)
        raise DescriptorInvalid(
            f"plugin '{plugin}' has the scope '{name}', which the host does not know; use {meant}", plugin=plugin
        )
    return asked


def with_included(scopes: Iterable[str]) -> frozenset[str]:
    """Return these scopes and all that they certainly include."""
    asked = frozenset(scopes)
    return asked.union(*(IMPLIED.get(scope, frozenset()) for scope in asked))


def merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest scopes that include all of these, in the host's order; ``("NONE",)`` without any."""
    asked = frozenset(scopes) - {"NONE"}
    held = frozenset().union(*(IMPLIED.get(scope, frozenset()) for scope in asked))
    return tuple(scope for scope in SCOPES if scope in asked - held) or ("NONE",)


def check_sufficient(module: Module, asked: frozenset[str]) -> None:
    """Refuse a module whose plugin lacks the scope that the host demands for it.

    Raises:
        DescriptorInvalid: Names the plugin, the module and the scope. Another plugin's scope does not count, because
            another deployment may not enable that plugin.
    """
    needed = _NEEDED.get(module.type)
    if needed is None or needed in with_included(asked):
        return
    called = module.key or module.body.get("event", "")
    raise DescriptorInvalid(
        f"plugin '{module.plugin}' declares '{called}' of type '{module.type}' without the scope '{needed}' that the "
        f"host demands for it; add '{needed}' to the plugin's scopes",
        plugin=module.plugin,
    )
