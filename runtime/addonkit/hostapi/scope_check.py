"""Who may call what: each call held against the scopes that its plugin asks for, before it leaves.

The host would refuse it as well, but names neither plugin nor scope, and lets one plugin use what another asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from addonkit.context import Product
from addonkit.descriptor.scopes import IMPLIED
from addonkit.errors import ScopeMissing
from addonkit.hostapi.scopes import INACCESSIBLE, needed

ACT_AS_USER = "ACT_AS_USER"
RUNTIME = "addonkit"

Noted = Callable[[str, str, str], None]
"""Told of each call that may be made: the plugin, the scope, and the resource as the map writes it."""


class ScopeCheck:
    """The plugins' scopes.

    Args:
        scopes: What each plugin asks for, in upper case, by its name.
        noted: Told of each call that may be made.
    """

    def __init__(self, scopes: Mapping[str, frozenset[str]], noted: Noted | None = None) -> None:
        self._asked = whole = {**scopes, RUNTIME: frozenset[str]().union(*scopes.values())}
        self._held = {name: _with_implied(asked) for name, asked in whole.items()}
        self._noted = noted

    def check(self, plugin: str, product: Product, method: str, path: str, *, as_user: bool) -> None:
        """Refuse a call whose scope the plugin does not ask for.

        Args:
            plugin: Whose call it is.
            product: Of the site.
            method: In upper case.
            path: Relative to the base URL, without the query.
            as_user: Whether it is made as a user.

        Raises:
            ScopeMissing: Naming the plugin, the call and the scope.
        """
        scope, resource = needed(product, method, path)
        if scope == INACCESSIBLE:
            raise ScopeMissing(
                f"plugin '{plugin}' calls '{method} {path}' of the scope '{scope}', which the host opens to no Connect "
                "add-on; use another resource",
                scope=scope,
            )
        if scope not in self._held.get(plugin, frozenset({"NONE"})):
            raise ScopeMissing(
                f"plugin '{plugin}' calls '{method} {path}' without the scope '{scope}' that the host demands for it; "
                f"add '{scope}' to the plugin's scopes",
                scope=scope,
            )
        if self._noted is not None:
            self._noted(plugin, scope, resource)
            if as_user:
                self._noted(plugin, ACT_AS_USER, resource)

    def of_user(self, plugin: str) -> str:
        """What a token for a user is asked for: the plugin's own scopes, so that it does nothing by another's."""
        return " ".join(sorted(self._asked.get(plugin, frozenset()) - {"NONE", ACT_AS_USER}))

    def check_acting(self, plugin: str) -> None:
        """Refuse to act as a user for a plugin that does not ask for it.

        Raises:
            ScopeMissing: It does not.
        """
        if ACT_AS_USER not in self._held.get(plugin, frozenset()):
            raise ScopeMissing(
                f"plugin '{plugin}' acts as a user without the scope '{ACT_AS_USER}'; add it to the plugin's scopes",
                scope=ACT_AS_USER,
            )
        if not self.of_user(plugin):
            raise ScopeMissing(
                f"plugin '{plugin}' acts as a user with no scope for anything; add what its calls need, such as 'READ'",
                scope="READ",
            )


def _with_implied(asked: frozenset[str]) -> frozenset[str]:
    return asked.union({"NONE"}, *(IMPLIED.get(scope, frozenset()) for scope in asked))
