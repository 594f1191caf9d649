"""A deployment that sells licences."""

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """The licensing plugin alone."""
    return {"addon": {"plugins": ["licensing"], "licensing": True}}
