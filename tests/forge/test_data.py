"""The tables of scopes and limits agree with the table of a descriptor's scopes, and name their sources."""

from __future__ import annotations

from addonkit.descriptor.scopes import SCOPES
from addonkit.forge.data import read_data


def test_scopes_are_the_fourteen_of_forge() -> None:
    scopes = read_data("scopes")["scopes"]
    assert set(scopes) == set(SCOPES) - {"NONE"}
    assert sum(len(names) for names in scopes.values()) == 14


def test_data_names_its_sources() -> None:
    for name in ("limits", "scopes"):
        assert read_data(name)["_source"]
