"""Fixtures: a deployment whose licensing plugin requires licences."""

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """A configuration with only the licensing plugin."""
    return {"addon": {"plugins": ["licensing"], "licensing": True}}
