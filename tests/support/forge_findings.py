"""What the runtime's own rules find in a changed manifest."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from addonkit.forge.checks import check_manifest

from tests.support.forge_variants import BASE, Change


def found(change: Change, **given: Any) -> list[tuple[str, str, str]]:
    """Return what the rules find in the base manifest after a change: level, pointer and message."""
    document = deepcopy(BASE)
    change(document)
    return [(finding.level, finding.pointer, finding.message) for finding in check_manifest(document, **given)]


def places(change: Change, **given: Any) -> list[tuple[str, str]]:
    """Return the levels and pointers of what the rules find."""
    return [(level, pointer) for level, pointer, _ in found(change, **given)]
