"""Builds the Forge manifest of an add-on from the same modules and scopes as its descriptor.

At the stage ``connect`` it contains Connect modules and nothing that the add-on would have to answer in another way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from addonkit.context import Module
from addonkit.descriptor.document import AddonFacts
from addonkit.settings.forge_section import ForgeSettings


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest; the same plugins and settings give the same document.

    Attributes:
        document: As JSON values, in the order in which they are written.
        sources: The plugin that declares a module or scope, by JSON pointer. Names of several plugins with one scope
            are joined with ``, ``; what the runtime adds has no entry.
    """

    document: dict[str, Any]
    sources: Mapping[str, str]


def build(
    facts: AddonFacts,
    forge: ForgeSettings,
    modules: Sequence[Module],
    scopes: Mapping[str, frozenset[str]],
    siblings: frozenset[str] = frozenset(),
) -> Manifest:
    """Build the manifest.

    Args:
        facts: The add-on's own fields.
        forge: The app at Forge.
        modules: In the order in which each plugin declared its own; the order of plugins does not matter.
        scopes: The scopes of each plugin by name, in upper case.
        siblings: Plugins that call the host of the other product as well.
    """
    raise NotImplementedError
