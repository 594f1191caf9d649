"""A plugin that declares every module type of both products, for tests of Forge manifests."""

from __future__ import annotations

from typing import Any

from addonkit import Plugin
from addonkit.context import Module
from addonkit.descriptor.module_types import BOTH, DECLARABLE

from tests.support.module_bodies import BODIES, PANEL

EVENTS = {"jira": "jira:issue_created", "confluence": "page_created"}
TYPES = frozenset(
    {f"{product}:{name}" for name, one in DECLARABLE.items() for product in one.products}
    | {"jira:lifecycle", "confluence:lifecycle"}
)
"""The 83 types of Connect modules in a manifest."""


def all_modules_plugin() -> Plugin:
    """Return the plugin ``kit``: a type of both products is declared once for each."""
    plugin = Plugin("kit", __name__, scopes={"READ", "ACT_AS_USER"})
    for name, one in sorted(DECLARABLE.items()):
        body: dict[str, Any] = dict(BODIES.get(name, PANEL))
        if one.box == "field":
            plugin.declare(name, **body)
            continue
        for product in sorted(one.products):
            key = f"kit-{name.lower()}" + (f"-{product}" if one.products == BOTH else "")
            if name == "webhooks":
                plugin.declare(name, **body | {"event": EVENTS[product], "url": f"/webhooks/kit/{product}"})
            else:
                plugin.declare(name, key=key, product=product if one.products == BOTH else None, **body)
    return plugin


def all_modules() -> list[Module]:
    """Return the modules of the plugin ``kit``."""
    return list(all_modules_plugin().addon_modules())
