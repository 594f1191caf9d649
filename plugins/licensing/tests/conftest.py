"""A deployment that sells licences, with one plugin whose pages are for sale and one page that is free."""

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """The guard alone."""
    return {"addon": {"plugins": ["licensing"], "licensing": True}}
