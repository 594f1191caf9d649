"""Which parameter names stand for variables of the host, and on which pages the host fills them.

What the host fills is believed; what a link may choose is not: ``{ac.…}`` comes from whoever made the link.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from addonkit.context import Module
from addonkit.descriptor.checks import fields_at
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.descriptor.urls import is_absolute
from addonkit.descriptor.variables import VARIABLES, WEBHOOK_VARIABLES
from addonkit.errors import PluginError

CHOSEN_BY_LINKS = "ac."
OURS = frozenset({"account_id", "context", "licence", "tenant"})


class Bindings:
    """One plugin's names for variables of the host, beside those of the table.

    Args:
        plugin: The plugin's name.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._own: dict[str, str] = {}

    def bind(self, variables: Mapping[str, str]) -> None:
        """Let names stand for variables.

        Raises:
            PluginError: A name has a meaning already.
        """
        for name, variable in variables.items():
            meant = "what the runtime knows" if name in OURS else VARIABLES.get(name) or self._own.get(name)
            if meant not in (None, variable):
                raise PluginError(
                    f"plugin '{self._plugin}' maps '{name}' to '{variable}', and that name stands for '{meant}'; "
                    "rename the parameter",
                    plugin=self._plugin,
                )
            self._own[name] = variable

    def variable(self, name: str) -> str | None:
        """The variable that a name stands for, or None."""
        return self._own.get(name) or VARIABLES.get(name)

    @property
    def verified(self) -> frozenset[str]:
        """The plugin's own names that are filled by the host alone."""
        return frozenset(name for name, variable in self._own.items() if not variable.startswith(CHOSEN_BY_LINKS))


def filled_by_host(modules: Iterable[Module], verified: frozenset[str]) -> dict[str, frozenset[str]]:
    """By path, the names that the host fills on that page, as the descriptor's URLs declare them.

    Args:
        modules: One plugin's.
        verified: Its own names for variables of the host.

    Raises:
        PluginError: A URL fills one of the table's names with something else.
    """
    filled: dict[str, frozenset[str]] = {}
    for module in modules:
        for place in MODULE_TYPES[module.type].urls:
            for _, url in fields_at(module.body, place):
                if isinstance(url, str) and not is_absolute(url):
                    path, _, query = url.partition("?")
                    filled[path] = filled.get(path, frozenset()) | _names_in(query, module, verified)
    return filled


def _names_in(query: str, module: Module, verified: frozenset[str]) -> frozenset[str]:
    if module.type == "webhooks":
        return frozenset(name for name, value in parse_qsl(query) if value == f"${{{WEBHOOK_VARIABLES.get(name)}}}")
    names = set()
    for name, value in parse_qsl(query):
        if name in VARIABLES and value != f"{{{VARIABLES[name]}}}":
            raise PluginError(
                f"plugin '{module.plugin}' fills '{name}' with '{value}' in the URL of '{module.type}' '{module.key}', "
                f"and that name stands for '{{{VARIABLES[name]}}}'; rename the parameter",
                plugin=module.plugin,
            )
        if name in VARIABLES or (name in verified and value.startswith("{")):
            names.add(name)
    return frozenset(names)
