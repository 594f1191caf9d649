"""Which scope a resource of the host's needs: two tables, one for each product, and a rule for what they leave out.

Source: ``jira_scopes.txt`` from ``x-atlassian-connect-scope`` of Jira's OpenAPI of 2022-07 and of resources that were
added since; ``confluence_scopes.txt`` from the product's reference, which has no such field: what is not listed there
goes by its method.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from addonkit.context import Product

INACCESSIBLE = "INACCESSIBLE"
BY_METHOD = {"GET": "READ", "HEAD": "READ", "OPTIONS": "READ", "POST": "WRITE", "PUT": "WRITE", "PATCH": "WRITE"}
_VERSION = re.compile(r"^/rest/api/(?:2|latest)(?=/)")
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
    parts = _VERSION.sub("/rest/api/3", path).strip("/").split("/") if product == "jira" else path.strip("/").split("/")
    read_as = "GET" if method in ("HEAD", "OPTIONS") else method
    return _found(_table(product), parts, read_as) or (BY_METHOD.get(method, "DELETE"), f"{method} {path}")


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
                node = node.named.setdefault(part, _Node())
        node.ends[method] = (scope, f"{method} {path}")
    return root
