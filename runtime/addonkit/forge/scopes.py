"""Translates the scopes of plugins to those of a manifest, where each product has its own.

A plugin's scopes are asked for in the products in which it has modules. A plugin without modules, or with access to
siblings, gets them in every product of the add-on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from addonkit.context import Product
from addonkit.descriptor.scopes import IMPLIED, merge
from addonkit.forge.data import read_data


@dataclass(frozen=True, slots=True)
class AskedScope:
    """A scope of the manifest.

    Attributes:
        name: Such as ``read:connect-jira``.
        plugins: The plugins that need it, sorted.
    """

    name: str
    plugins: tuple[str, ...]


def asked_scopes(
    scopes: Mapping[str, frozenset[str]], products: Mapping[str, Iterable[Product]]
) -> tuple[AskedScope, ...]:
    """Return the fewest scopes of a manifest that include those of the plugins, sorted by name.

    Args:
        scopes: The scopes of each plugin, in upper case.
        products: The products in which each plugin needs them.
    """
    names: dict[str, list[str]] = {}
    for product in sorted({product for found in products.values() for product in found}):
        asked = {
            plugin: scopes_in(product, wanted)
            for plugin, wanted in sorted(scopes.items())
            if product in products[plugin]
        }
        for scope in merge(frozenset().union(*asked.values())):
            if scope != "NONE":
                name = _names()[scope][product]
                names[name] = [plugin for plugin, wanted in asked.items() if scope in wanted]
    return tuple(AskedScope(name, tuple(plugins)) for name, plugins in sorted(names.items()))


def scopes_in(product: Product, scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes as a product has them: one that it does not have is replaced by those that it includes.

    ``PROJECT_ADMIN`` includes ``WRITE`` in Confluence as well, so an add-on with it may write there today.
    """
    found: set[str] = set()
    for scope in scopes:
        if scope == "NONE" or product in _names().get(scope, {}):
            found.add(scope)
        else:
            found |= scopes_in(product, IMPLIED.get(scope, frozenset()))
    return frozenset(found)


def scope_name(product: Product, scope: str) -> str:
    """Return the name in a manifest of a scope that a product has."""
    return _names()[scope][product]


def names_in_manifests(scope: str) -> tuple[str, ...]:
    """Return the names of a scope in the products that have it, Jira's first; none for ``NONE``."""
    return tuple(_names().get(scope, {}).values())


def _names() -> Mapping[str, Mapping[Product, str]]:
    names: Mapping[str, Mapping[Product, str]] = read_data("scopes")["scopes"]
    return names
