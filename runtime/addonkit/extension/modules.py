"""A plugin's modules: the host variables in their URLs, and the check of each module at start-up.

A value that the host fills is trusted. The value of a variable ``{ac.…}`` is not: anybody can choose it in a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from addonkit.context import Module, Product
from addonkit.descriptor.checks import PLAIN_NAMES, check_module, fields_at
from addonkit.descriptor.module_types import module_type
from addonkit.descriptor.urls import is_absolute, path_and_query
from addonkit.descriptor.variables import VARIABLES, WEBHOOK_VARIABLES
from addonkit.errors import PluginError

CHOSEN_BY_LINKS = "ac."
RUNTIME_NAMES = frozenset({"account_id", "context", "licence", "tenant"})
"""Parameters that the runtime fills."""


class Bindings:
    """One plugin's own parameter names for host variables, besides those of the table.

    Args:
        plugin: The plugin's name.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._own: dict[str, str] = {}

    def bind(self, variables: Mapping[str, str]) -> None:
        """Map parameter names to host variables.

        Raises:
            PluginError: A name already stands for another variable or fact.
        """
        for name, variable in variables.items():
            known = "a fact of the request" if name in RUNTIME_NAMES else VARIABLES.get(name) or self._own.get(name)
            if known not in (None, variable):
                raise PluginError(
                    f"plugin '{self._plugin}' maps '{name}' to '{variable}', but that name stands for '{known}'; "
                    "rename the parameter",
                    plugin=self._plugin,
                )
            self._own[name] = variable

    def variable(self, name: str) -> str | None:
        """Return the host variable that a parameter name stands for, or None."""
        return self._own.get(name) or VARIABLES.get(name)

    @property
    def verified(self) -> frozenset[str]:
        """The plugin's own names that only the host can fill."""
        return frozenset(name for name, variable in self._own.items() if not variable.startswith(CHOSEN_BY_LINKS))


def placed_url(plugin: str, type_: str, url: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add a page's URL to a module's fields, in the field where this module type keeps it.

    Raises:
        PluginError: Modules of this type have no page, or several.
    """
    page_url = module_type(type_).page_url
    if page_url is None:
        raise PluginError(
            f"plugin '{plugin}' uses @plugin.module for '{type_}', which has no page; use plugin.declare",
            plugin=plugin,
        )
    if page_url == "target.url":
        return {**fields, "target": {"type": "web_panel", **fields.get("target", {}), "url": url}}
    return {**fields, "url": url}


def declared_module(
    plugin: str, type_: str | None, key: str | None, product: Product | None, fields: dict[str, Any]
) -> Module:
    """Return the module that a plugin declares; without a type, its type is the field ``type``.

    Raises:
        PluginError: The type is missing.
    """
    found = fields.pop("type", None) if type_ is None else type_
    if not isinstance(found, str):
        raise PluginError(
            f"plugin '{plugin}' calls plugin.declare without a module type; pass it first, as in declare('dialogs')",
            plugin=plugin,
        )
    if isinstance(fields.get("name"), str) and found not in PLAIN_NAMES:
        fields["name"] = {"value": fields["name"]}
    return Module(found, plugin, {"key": key, **fields} if key else fields, product)


def checked_modules(
    plugin: str, modules: Iterable[Any], verified: frozenset[str], *, strict: bool = False
) -> tuple[tuple[Module, ...], dict[str, frozenset[str]]]:
    """Check each of a plugin's modules: its owner, the host's rules, its URLs, and the names that the host fills.

    Args:
        plugin: The plugin's name.
        modules: What it returned for ``addon_modules``.
        verified: Its own names for host variables.
        strict: Whether module types that the runtime does not know are refused.

    Returns:
        The modules, and the parameter names that the host fills in the URL of a page, by the page's path.

    Raises:
        PluginError: A module cannot be used.
    """
    checked: list[Module] = []
    filled: dict[str, frozenset[str]] = {}
    for module in modules:
        if not isinstance(module, Module):
            raise PluginError(
                f"plugin '{plugin}' returns {type(module).__name__} as a module, expected addonkit.Module; wrap it",
                plugin=plugin,
            )
        if module.plugin != plugin:
            raise PluginError(
                f"plugin '{plugin}' returns a module with plugin='{module.plugin}'; write plugin='{plugin}'",
                plugin=plugin,
            )
        check_module(module, strict=strict)
        for place, url in _urls(module):
            _check_owner(module, place, url)
            if not is_absolute(url):
                path, query = path_and_query(url)
                filled[path] = filled.get(path, frozenset()) | _names_filled(query, module, verified)
        checked.append(module)
    return tuple(checked), filled


def _urls(module: Module) -> Iterable[tuple[str, str]]:
    """Return each URL of a module that the host requests from the add-on, with the field that holds it."""
    for path in module_type(module.type).urls:
        yield from ((place, url) for place, url in fields_at(module.body, path) if isinstance(url, str))


def _check_owner(module: Module, place: str, url: str) -> None:
    """Refuse a URL that calls another plugin; a link into the product or to another site calls no plugin."""
    is_link = place == "url" and module_type(module.type).may_link and module.body.get("context") in ("product", "page")
    own = (f"/{module.plugin}/", f"/webhooks/{module.plugin}/")
    if not is_link and not is_absolute(url) and not path_and_query(url)[0].startswith(own):
        raise PluginError(
            f"plugin '{module.plugin}': '{module.type}' '{module.key}' has a '{place}' that is '{url}', which is not a "
            f"path of this plugin; begin it with '/{module.plugin}/'",
            plugin=module.plugin,
        )


def _names_filled(query: str, module: Module, verified: frozenset[str]) -> frozenset[str]:
    """Return the names in a URL's query that only the host can fill."""
    if module.type == "webhooks":
        return frozenset(name for name, value in parse_qsl(query) if value == f"${{{WEBHOOK_VARIABLES.get(name)}}}")
    names = set()
    for name, value in parse_qsl(query):
        if name in VARIABLES and value != f"{{{VARIABLES[name]}}}":
            raise PluginError(
                f"plugin '{module.plugin}' fills '{name}' with '{value}' in the URL of '{module.type}' '{module.key}', "
                f"but that name stands for '{{{VARIABLES[name]}}}'; rename the parameter",
                plugin=module.plugin,
            )
        if name in VARIABLES or (name in verified and value.startswith("{")):
            names.add(name)
    return frozenset(names)
