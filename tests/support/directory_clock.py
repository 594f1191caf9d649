"""The clock by which the tenants in a directory age, which a test sets."""

from functools import partial

import pytest
from addonkit.tenancy import directory
from cachetools import TTLCache


class DirectoryClock:
    """The clock of each directory that is made from here on; it stands still until the test changes ``now``."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(directory, "TTLCache", partial(TTLCache, timer=self))

    def __call__(self) -> float:
        """Return the time."""
        return self.now
