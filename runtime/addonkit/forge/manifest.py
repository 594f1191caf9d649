"""Builds the Forge manifest of an add-on from the same modules and scopes as its descriptor.

At the stage ``connect`` it contains Connect modules and nothing that the add-on would have to answer in another way:
no endpoint, no trigger and no token of Forge. ``products`` finds the product of each module, ``scopes`` the scopes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from addonkit.context import Module, Product
from addonkit.descriptor.document import LIFECYCLE, AddonFacts
from addonkit.descriptor.module_types import FIELDS
from addonkit.errors import PluginError, SettingsInvalid
from addonkit.extension.registry import Registry, addon_facts
from addonkit.forge.data import read_data
from addonkit.forge.products import PRODUCTS, Placed, generated_key, place_modules
from addonkit.forge.rules.remotes import fault_of_base_url
from addonkit.forge.scopes import AskedScope, asked_scopes
from addonkit.settings.forge_section import ForgeSettings, Region, Stage

REMOTE = "connect"
"""Key of the remote that is the add-on itself."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest; the same plugins and settings give the same document.

    Attributes:
        document: As JSON values, in the order in which they are written.
        sources: The plugin that declares a module or scope, by JSON pointer. Names of several plugins with one scope
            are joined with ``, ``; what the runtime adds has no entry.
    """

    document: dict[str, Any]
    sources: Mapping[str, str]


def build(
    facts: AddonFacts,
    forge: ForgeSettings,
    modules: Sequence[Module],
    scopes: Mapping[str, frozenset[str]],
    siblings: frozenset[str] = frozenset(),
) -> Manifest:
    """Build the manifest. The descriptor's rules are checked already.

    Args:
        facts: The add-on's own fields.
        forge: The app at Forge.
        modules: In the order in which each plugin declared its own; the order of plugins does not matter.
        scopes: The scopes of each plugin by name, in upper case.
        siblings: Plugins that call the host of the other product as well.

    Raises:
        PluginError: A module has no product, a type that a manifest does not have, or a key of the runtime's.
        SettingsInvalid: The stage is not supported, or Forge cannot reach the add-on.
    """
    _check_stage(forge.stage)
    _check_reachable(facts.base_url, forge.residency)
    placed = place_modules(sorted(modules, key=lambda module: module.plugin), forge.products)
    products: tuple[Product, ...] = tuple(sorted({one.product for one in placed})) or PRODUCTS
    asked = asked_scopes(scopes, _products_of_plugins(placed, products, scopes, siblings))
    connect_modules, sources = _connect_modules(placed, products)
    sources |= {f"/permissions/scopes/{place}": ", ".join(one.plugins) for place, one in enumerate(asked)}
    document = _document(facts, forge, products, connect_modules, asked)
    _check_keys(document, sources)
    return Manifest(document, MappingProxyType(sources))


def manifest_of(registry: Registry, stage: Stage | None = None) -> Manifest:
    """Build the manifest of a deployment's plugins.

    Args:
        registry: The plugins and the configuration.
        stage: The stage to make it for; by default that of the configuration.

    Raises:
        PluginError: As ``build`` does, or a plugin is skipped, so that its modules would be missing.
        SettingsInvalid: As ``build`` does, or the configuration has no ``[forge]``.
    """
    forge = registry.settings.forge
    if forge is None:
        raise SettingsInvalid(
            "the configuration has no [forge] table; run 'forge register', and add three lines: '[forge]', "
            "'app_id = \"ari:cloud:ecosystem::app/<uuid>\"' with the id that it printed, and 'stage = \"connect\"'"
        )
    for skipped in registry.skipped:
        raise PluginError(
            f"plugin '{skipped.name}' is skipped, and a manifest without it would remove its modules from every site: "
            f"{skipped.reason}; correct the plugin, or remove it from [addon] plugins",
            plugin=skipped.name,
        )
    plugins = registry.contributions
    return build(
        addon_facts(registry.settings.addon),
        forge.model_copy(update={"stage": stage or forge.stage}),
        [module for one in plugins.values() for module in one.modules],
        {name: one.scopes for name, one in plugins.items()},
        frozenset(name for name, one in plugins.items() if one.siblings),
    )


def _check_stage(stage: str) -> None:
    if stage != "connect":
        raise SettingsInvalid(
            f"the stage is '{stage}', but this release makes manifests of the stage 'connect' only; set [forge] stage "
            "to 'connect', or use --stage connect"
        )


def _check_reachable(base_url: str, residency: Mapping[Region, str]) -> None:
    """Refuse base URLs that Atlassian cannot call; a descriptor may have them, for a site on the same machine."""
    if fault := fault_of_base_url(base_url):
        raise SettingsInvalid(f"[addon] base_url '{base_url}' {fault}; for one command, set ADDONKIT_ADDON__BASE_URL")
    for region, url in residency.items():
        if fault := fault_of_base_url(url):
            raise SettingsInvalid(f"[forge] residency has for {region} the base URL '{url}', which {fault}")


def _check_keys(document: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Refuse a key that two modules have. The plugins' own keys are unique already, so one of the two is generated."""
    found: dict[str, tuple[str, str | None]] = {}
    for pointer, key in _keys(document):
        entry = pointer.split("/")[2], sources.get(pointer)
        if key in found:
            raise _collision(key, found[key], entry)
        found[key] = entry


def _keys(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the JSON pointer and the key of each module."""
    for section in ("connectModules", "modules"):
        for type_, bodies in document.get(section, {}).items():
            for place, body in enumerate(bodies):
                yield f"/{section}/{type_}/{place}", body["key"]


def _collision(key: str, *entries: tuple[str, str | None]) -> PluginError:
    # The runtime's own module last, and before it one of a type whose keys are generated.
    generated = ("webhooks", *FIELDS)
    (type_, plugin), (other, owner) = sorted(entries, key=lambda one: (one[1] is None, one[0].endswith(generated)))
    whose = f"'{other}' of plugin '{owner}'" if owner else f"the runtime's '{other}'"
    return PluginError(
        f"plugin '{plugin}': '{type_}' has the key '{key}', which {whose} has in the manifest, where keys are unique; "
        "rename it",
        plugin=plugin or "",
    )


def _document(
    facts: AddonFacts,
    forge: ForgeSettings,
    products: Sequence[Product],
    connect_modules: dict[str, Any],
    scopes: Iterable[AskedScope],
) -> dict[str, Any]:
    app: dict[str, Any] = {
        "id": forge.app_id,
        "runtime": {"name": read_data("limits")["runtimes"][-1]},
        "connect": {"key": facts.key, "remote": REMOTE, "authentication": "jwt"},
        "licensing": {"enabled": facts.licensing},
    }
    if len(products) > 1:
        app["compatibility"] = {product: {"required": False} for product in products}
    document = {"app": app, "remotes": [_remote(facts.base_url, forge)], "connectModules": connect_modules}
    if forge.migration_guide:
        document["modules"] = {"connectToForgeMigration": [_migration(forge, forge.migration_guide)]}
    # An add-on without scopes has an empty list; a manifest without the list is refused.
    return document | {"permissions": {"scopes": [scope.name for scope in scopes]}}


def _remote(base_url: str, forge: ForgeSettings) -> dict[str, Any]:
    url: Any = {"default": base_url, **dict(sorted(forge.residency.items()))} if forge.residency else base_url
    return {
        "key": REMOTE,
        "baseUrl": url,
        "operations": ["storage", "compute"],
        "storage": {"inScopeEUD": True},
    }


def _migration(forge: ForgeSettings, guide: str) -> dict[str, Any]:
    return {
        "key": generated_key("connect-to-forge-migration"),
        "migrationGuideUrl": guide,
        "willMigrateToForgeBeforeEOS": forge.will_migrate.upper(),
    }


def _connect_modules(
    placed: Iterable[Placed], products: Iterable[Product]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Return the Connect modules by type, types sorted, and the plugin of each module."""
    found: dict[str, list[tuple[dict[str, Any], str | None]]] = {}
    for one in placed:
        found.setdefault(one.type, []).append((one.body, one.module.plugin))
    for product in products:
        body = {"key": generated_key("lifecycle", product)} | {event: f"/lifecycle/{event}" for event in LIFECYCLE}
        found[f"{product}:lifecycle"] = [(body, None)]
    sources = {
        f"/connectModules/{type_}/{place}": plugin
        for type_, entries in sorted(found.items())
        for place, (_, plugin) in enumerate(entries)
        if plugin
    }
    return {type_: [body for body, _ in entries] for type_, entries in sorted(found.items())}, sources


def _products_of_plugins(
    placed: Iterable[Placed], products: tuple[Product, ...], plugins: Iterable[str], siblings: frozenset[str]
) -> dict[str, Iterable[Product]]:
    """Return the products in which each plugin needs its scopes."""
    own: dict[str, set[Product]] = {}
    for one in placed:
        own.setdefault(one.module.plugin, set()).add(one.product)
    return {plugin: products if plugin in siblings else own.get(plugin, products) for plugin in plugins}
