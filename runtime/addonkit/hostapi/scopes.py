"""Scopes of host calls: a map from each resource to the scope that it needs, and the check of plugins against it.

Source: ``jira_scopes.txt`` from ``x-atlassian-connect-scope`` in Jira's OpenAPI of 2022-07, and from the reference for
resources added since; ``confluence_scopes.txt`` from the product's reference, which has no such field. A resource that
is not in the map needs the scope of its method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path

from addonkit.context import Product
from addonkit.descriptor.scopes import IMPLIED
from addonkit.errors import ScopeMissing
from addonkit.hostapi.call import HostCall
from addonkit.hostapi.resource_map import ResourceMap

INACCESSIBLE = "INACCESSIBLE"
ACT_AS_USER = "ACT_AS_USER"
RUNTIME = "addonkit"
SCOPE_BY_METHOD = {"GET": "READ", "HEAD": "READ", "OPTIONS": "READ", "POST": "WRITE", "PUT": "WRITE", "PATCH": "WRITE"}
"""Scopes of resources that are not in the map; every other method needs ``DELETE``."""
_FIXED_PARTS = 3
"""Leading parts of a path that are never ids: ``rest``, ``api``, a version."""
_FOLDER = Path(__file__).parent

RecordScope = Callable[[str, str, str], None]
"""Called for each permitted call with the plugin, the scope, and the resource as the map writes it."""


class ScopeCheck:
    """Checks host calls against the scopes of the plugin that makes them, before they are sent.

    The host checks scopes as well, but its error names neither plugin nor scope, and it lets one plugin use a scope
    that another plugin has requested.

    Args:
        scopes: The scopes that each plugin requests, in upper case, by plugin name.
        record: Called for each permitted call.
    """

    def __init__(self, scopes: Mapping[str, frozenset[str]], record: RecordScope | None = None) -> None:
        self._requested = {**scopes, RUNTIME: frozenset[str]().union(*scopes.values())}
        self._held = {name: _with_implied(requested) for name, requested in self._requested.items()}
        self._record = record

    def check_call(self, plugin: str, call: HostCall) -> None:
        """Check a call; an anonymous one needs no scope.

        Raises:
            ScopeMissing: The plugin lacks the scope.
        """
        if not call.signed:
            return
        is_acting = call.acting is not None
        if is_acting:
            self.check_acting(plugin)
        self.check(plugin, call.tenant.product, call.method, call.url.path, as_user=is_acting)

    def check(self, plugin: str, product: Product, method: str, path: str, *, as_user: bool) -> None:
        """Check a method and path.

        Args:
            plugin: The plugin that makes the call.
            product: The site's product.
            method: In upper case.
            path: Relative to the base URL, without the query.
            as_user: Whether the call acts as a user.

        Raises:
            ScopeMissing: The plugin lacks the scope; the message names the plugin, the call and the scope.
        """
        scope, resource = required_scope(product, method, path)
        if scope == INACCESSIBLE:
            raise ScopeMissing(
                f"plugin '{plugin}' calls '{method} {path}', which the host does not make available to Connect add-ons "
                f"(scope '{scope}'); use another resource",
                scope=scope,
            )
        if scope not in self._held.get(plugin, frozenset({"NONE"})):
            raise ScopeMissing(
                f"plugin '{plugin}' calls '{method} {path}' without the scope '{scope}' that the host requires for it; "
                f"add '{scope}' to the plugin's scopes",
                scope=scope,
            )
        if self._record is not None:
            self._record(plugin, scope, resource)
            if as_user:
                self._record(plugin, ACT_AS_USER, resource)

    def check_acting(self, plugin: str) -> None:
        """Check that a plugin may act as users.

        Raises:
            ScopeMissing: It lacks ``ACT_AS_USER``, or has no other scope.
        """
        if ACT_AS_USER not in self._held.get(plugin, frozenset()):
            raise ScopeMissing(
                f"plugin '{plugin}' acts as a user without the scope '{ACT_AS_USER}'; add it to the plugin's scopes",
                scope=ACT_AS_USER,
            )
        if not self.user_scopes(plugin):
            raise ScopeMissing(
                f"plugin '{plugin}' acts as a user but has no other scope; add the scopes that its calls need, such as "
                "'READ'",
                scope="READ",
            )

    def user_scopes(self, plugin: str) -> str:
        """Return the scopes that tokens for users are requested with: the plugin's own, separated by spaces."""
        return " ".join(sorted(self._requested.get(plugin, frozenset()) - {"NONE", ACT_AS_USER}))


def _with_implied(requested: frozenset[str]) -> frozenset[str]:
    return requested.union({"NONE"}, *(IMPLIED.get(scope, frozenset()) for scope in requested))


@lru_cache(1024)
def required_scope(product: Product, method: str, path: str) -> tuple[str, str]:
    """Return the scope that a call needs, and its resource as the map writes it.

    Args:
        product: The site's product.
        method: In upper case.
        path: Relative to the base URL, without the query.

    Returns:
        For example ``("WRITE", "PUT /rest/api/3/issue/{issueIdOrKey}")``. The scope of a resource that no add-on may
        call is ``INACCESSIBLE``. A resource that is not in the map needs the scope of its method.
    """
    mapped_method = "GET" if method in ("HEAD", "OPTIONS") else method
    found = _scope_map(product).find(path, mapped_method)
    return found or (SCOPE_BY_METHOD.get(method, "DELETE"), f"{method} {_without_ids(path)}")


def _without_ids(path: str) -> str:
    """Return a path that is not in the map, with ids and keys replaced by ``{…}``."""
    parts = path.split("/")
    fixed, rest = parts[: _FIXED_PARTS + 1], parts[_FIXED_PARTS + 1 :]
    return "/".join([*fixed, *("{…}" if any(letter.isdigit() for letter in part) else part for part in rest)])


@cache
def _scope_map(product: Product) -> ResourceMap[tuple[str, str]]:
    resources: ResourceMap[tuple[str, str]] = ResourceMap()
    for line in (_FOLDER / f"{product}_scopes.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            scope, method, path = line.split(" ")
            resources.add(path, method, (scope, f"{method} {path}"))
    return resources
