"""Plugins with many modules or many routes, to measure how the cost of a request grows with them.

The entry points are ``grown_1`` to ``grown_7``, each with 30 modules, and ``routes_10``, ``routes_100`` and
``routes_1000``, with so many routes.
"""

from __future__ import annotations

from addonkit import Plugin

MODULES = 30


def with_modules(number: int) -> Plugin:
    """Return a plugin with 30 pages."""
    plugin = Plugin(f"grown_{number}", __name__, scopes={"READ"})
    for place in range(MODULES):
        key = f"grown-{number}-{place}"

        async def page(key: str = key) -> str:
            return key

        page.__name__ = f"page_{place}"
        plugin.module("webPanels", key=key, name=key, location="atl.jira.view.issue.right.context")(page)
    return plugin


def with_routes(count: int) -> Plugin:
    """Return a plugin with a number of routes; every tenth has an argument."""
    plugin = Plugin(f"routes_{count}", __name__, scopes={"READ"})
    for place in range(count):

        async def answer(name: str = "") -> str:
            return name

        answer.__name__ = f"answer_{place}"
        plugin.get(f"/part-{place}/<name>" if place % 10 == 0 else f"/part-{place}")(answer)
    return plugin


grown_1, grown_2, grown_3, grown_4, grown_5, grown_6, grown_7 = (with_modules(number) for number in range(1, 8))
routes_10, routes_100, routes_1000 = (with_routes(count) for count in (10, 100, 1000))
