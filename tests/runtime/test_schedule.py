"""Rules of schedules: intervals and cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from addonkit.schedule import Cron, Interval, parse_duration, parse_rule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("rule", "seconds"), [("90s", 90), ("15m", 900), ("6h", 21600), ("1d", 86400)])
def test_interval_is_a_number_with_a_unit(rule: str, seconds: int) -> None:
    assert parse_rule(rule) == Interval(rule, seconds)
    assert parse_rule(rule).next_after(1000.5) == 1000.5 + seconds


@pytest.mark.parametrize("text", ["", "0m", "-1m", "1.5h", "15", "15 m", "15M", "1234567s", "15m15m", "15m\n"])
def test_duration_in_another_format_is_refused(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("rule", "after", "expected"),
    [
        ("0 3 * * *", "2026-05-01T02:59:59", "2026-05-01T03:00:00"),
        ("0 3 * * *", "2026-05-01T03:00:00", "2026-05-02T03:00:00"),
        ("*/15 * * * *", "2026-12-31T23:50:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("30 8 * * 1", "2026-05-01T12:00:00", "2026-05-04T08:30:00"),
    ],
)
def test_cron_gives_the_next_time_in_utc(rule: str, after: str, expected: str) -> None:
    assert parse_rule(rule) == Cron(rule)
    assert parse_rule(rule).next_after(at(after)) == at(expected)


def test_cron_ignores_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_rule("0 3 * * *").next_after(at("2026-05-01T00:00:00")) == at("2026-05-01T03:00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("rule", ["", "daily", "60 * * * *", "* * * *", "0 0 31 2 *", "15 m"])
def test_rule_that_is_neither_an_interval_nor_cron_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="expected an interval such as '15m' or '6h', or a cron expression"):
        parse_rule(rule)
