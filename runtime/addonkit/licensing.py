"""The facts of a licence, as the host tells them. What follows from them is a plugin's to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addonkit.context import Licence

SAID = {"active": Licence.ACTIVE, "none": Licence.NONE}


def licence_in_query(values: Sequence[str]) -> Licence:
    """What ``lic`` says in a query that the host signed; said twice, or otherwise, it says nothing."""
    return SAID.get(values[0], Licence.UNKNOWN) if len(values) == 1 else Licence.UNKNOWN


def licence_in_claim(context: Mapping[str, Any]) -> Licence:
    """What ``license.active`` says in the ``context`` claim of a verified token."""
    licence = context.get("license")
    active = licence.get("active") if isinstance(licence, Mapping) else None
    if not isinstance(active, bool):
        return Licence.UNKNOWN
    return Licence.ACTIVE if active else Licence.NONE
