"""Which scope a resource of the host's needs: two tables, one for each product, and a rule for what they leave out.

Source: ``jira_scopes.txt`` from ``x-atlassian-connect-scope`` of Jira's OpenAPI of 2022-07 and of resources that were
added since; ``confluence_scopes.txt`` from the product's reference, which has no such field: what is not listed there
goes by its method.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

from addonkit.context import Product

INACCESSIBLE = "INACCESSIBLE"
BY_METHOD = {"GET": "READ", "HEAD": "READ", "OPTIONS": "READ", "POST": "WRITE", "PUT": "WRITE", "PATCH": "WRITE"}
_FIRST_NAMES = 3
"""Parts of a path that surely name nothing: ``rest``, ``api``, a version."""
_FOLDER = Path(__file__).parent


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
