"""Reads the packaged tables about Forge: module types, events, scopes, approvals. Each file names its sources."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import orjson


@cache
def read_data(name: str) -> Mapping[str, Any]:
    """Return the content of ``data/<name>.json``."""
    return MappingProxyType(orjson.loads(files("addonkit.forge").joinpath("data", f"{name}.json").read_bytes()))
