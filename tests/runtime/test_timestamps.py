"""Times that others state: those of no calendar are None."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from addonkit.timestamps import utc_time


def test_time_is_a_datetime_in_utc() -> None:
    assert utc_time(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert utc_time(1606480436302, per_second=1000) == datetime.fromtimestamp(1606480436.302, UTC)
    assert utc_time(-1.5) == datetime(1969, 12, 31, 23, 59, 58, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "at", [10**400, -(10**400), 2**63, -(2**63), 1e18, -1e18, float("inf"), float("nan"), None, True, "1606480436", [1]]
)
@pytest.mark.parametrize("per_second", [1, 1000])
def test_time_of_no_calendar_is_none(at: object, per_second: int) -> None:
    assert utc_time(at, per_second) is None
