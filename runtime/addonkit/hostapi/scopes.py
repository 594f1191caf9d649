"""Which scope a resource of the host's needs: two tables, one for each product, and a rule for what they leave out.

Source: ``jira_scopes.txt`` from ``x-atlassian-connect-scope`` of Jira's OpenAPI of 2022-07 and of resources that were
added since; ``confluence_scopes.txt`` from the product's reference, which has no such field: what is not listed there
goes by its method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

from addonkit.context import Product
from addonkit.descriptor.scopes import IMPLIED
from addonkit.errors import ScopeMissing

INACCESSIBLE = "INACCESSIBLE"
ACT_AS_USER = "ACT_AS_USER"
RUNTIME = "addonkit"
BY_METHOD = {"GET": "READ", "HEAD": "READ", "OPTIONS": "READ", "POST": "WRITE", "PUT": "WRITE", "PATCH": "WRITE"}
_FIRST_NAMES = 3
"""Parts of a path that surely name nothing: ``rest``, ``api``, a version."""
_FOLDER = Path(__file__).parent

Noted = Callable[[str, str, str], None]
"""Told of each call that may be made: the plugin, the scope, and the resource as the map writes it."""


@dataclass(slots=True)
class _Node:
    """One step of a path: what follows, by name or whatever the name, and the scopes of what ends here by method."""

    named: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)


@lru_cache(1024)
def needed(product: Product, method: str, path: str) -> tuple[str, str]:
    """The scope that a call needs, and the resource as the table writes it.

    Args:
        product: Of the site.
        method: In upper case.
        path: Relative to the base URL, without the query.

    Returns:
        Such as ``("WRITE", "PUT /rest/api/3/issue/{issueIdOrKey}")``; ``INACCESSIBLE`` for what no add-on may call. A
        resource that is not in the table needs what its method does to things, and is given as it was called.
    """
    read_as = "GET" if method in ("HEAD", "OPTIONS") else method
    table, parts = _table(product), [unquote(part) for part in path.strip("/").split("/")]
    # an escaped slash may stand within a name, or be one more to whoever decodes it: the second is looked for first
    split = "/".join(parts).split("/")
    found = _found(table, _as_routed(split), read_as) or _found(table, _as_routed(parts), read_as)
    return found or (BY_METHOD.get(method, "DELETE"), f"{method} {_kind_of(path)}")


def _as_routed(parts: list[str]) -> list[str]:
    """The parts of a path as a host may read them: without parameters, whatever the case, in the present version."""
    plain = [part.partition(";")[0].lower() for part in parts if part]
    if plain[:2] == ["rest", "api"] and plain[2:3] in (["2"], ["latest"]):
        plain[2] = "3"
    return plain


def _kind_of(path: str) -> str:
    """A resource that is in no table, without the numbers and keys of single things."""
    first, rest = path.split("/")[: _FIRST_NAMES + 1], path.split("/")[_FIRST_NAMES + 1 :]
    return "/".join([*first, *("{…}" if any(letter.isdigit() for letter in part) else part for part in rest)])


def _found(node: _Node, parts: list[str], method: str) -> tuple[str, str] | None:
    """What the table says, names before placeholders."""
    if not parts:
        return node.ends.get(method)
    for following in (node.named.get(parts[0]), node.any):
        if following is not None and (found := _found(following, parts[1:], method)) is not None:
            return found
    return None


@cache
def _table(product: Product) -> _Node:
    root = _Node()
    for line in (_FOLDER / f"{product}_scopes.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        scope, method, path = line.split(" ")
        node = root
        for part in path.strip("/").split("/"):
            if part.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.named.setdefault(part.lower(), _Node())
        node.ends[method] = (scope, f"{method} {path}")
    return root


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
