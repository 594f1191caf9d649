"""What is served: the plugins that are on, and the descriptor that they make together."""

from __future__ import annotations

from collections.abc import AsyncIterator

from addonkit.check.context import CheckContext
from addonkit.check.result import Remark, ok, warn


async def plugins(case: CheckContext) -> AsyncIterator[Remark]:
    """Which are on, and which are skipped.

    Raises:
        PluginError: One of them cannot be used.
    """
    registry = case.deployment.registry
    yield ok(", ".join(registry.contributions))
    for one in registry.skipped:
        yield warn(f"skipped: {one.reason}")


async def descriptor(case: CheckContext) -> AsyncIterator[Remark]:
    """How large it is, and what it asks for.

    Raises:
        PluginError: It breaks a rule of the host.
    """
    made = case.deployment.descriptor
    modules = sum(len(v) if isinstance(v, list) else 1 for v in made.document.get("modules", {}).values())
    scopes = ", ".join(made.document.get("scopes", [])) or "no scopes"
    yield ok(f"{modules} modules, {scopes}, {len(made.body)} bytes")
