"""Reads the state of a licence from a request. Plugins decide what to do without an active one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addonkit.context import Licence

STATES = {"active": Licence.ACTIVE, "none": Licence.NONE}


def licence_in_query(values: Sequence[str]) -> Licence:
    """Return the licence of ``lic`` in a query that the host signed; unknown if it is repeated or has another value."""
    return STATES.get(values[0], Licence.UNKNOWN) if len(values) == 1 else Licence.UNKNOWN


def licence_in_claim(context: Mapping[str, Any]) -> Licence:
    """Return the licence of ``license.active`` in the ``context`` claim of a verified token."""
    licence = context.get("license")
    active = licence.get("active") if isinstance(licence, Mapping) else None
    if not isinstance(active, bool):
        return Licence.UNKNOWN
    return Licence.ACTIVE if active else Licence.NONE
