"""Daily calls of sites: when each is due, which answers are evidence, and the days on which too many sites fail."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from addonkit.context import TenantState
from addonkit.database.sql import execute, fetch
from addonkit.tenancy import presence
from addonkit.tenancy.models import PresenceRow, TenantRow
from addonkit.tenancy.presence import (
    DAY_S,
    clear_evidence,
    count_past_days,
    due,
    enrol,
    evidence_of,
    failures_today,
    gone_tenants,
    next_moment,
    record_answer,
)
from addonkit.tenant_data.connection import tenant_database

GONE_AT = datetime(2026, 1, 1, tzinfo=UTC)
NOON = 20_000 * DAY_S + DAY_S // 2
INSERT_SITES = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number})
INSERT INTO addonkit_tenant (key, client_key, product, base_url, display_url, shared_secret, state, installed_iat,
    created_at, updated_at, environment)
SELECT 'site-' || n, 'site-' || n, 'jira', 'https://' || n || '.example', '', 'v1.k1.x', 'enabled', 0,
    CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 'production' FROM numbers
"""


class Clock:
    """The database's clock."""

    def __init__(self) -> None:
        self.now = float(NOON)

    async def __call__(self) -> float:
        return self.now


@pytest.fixture
async def clock(location, monkeypatch):
    """A clock that a test sets, with an open database."""
    clock = Clock()
    monkeypatch.setattr(presence, "database_time", clock)
    async with tenant_database(location, {}):
        yield clock


async def insert_sites(number):
    await execute(INSERT_SITES.format(number=number))


async def fail(clock, numbers, days=1, status=404):
    """Let sites fail on days in a row, and begin the next day; return the days that were counted."""
    counted = []
    for _ in range(days):
        for number in numbers:
            await record_answer(number, status)
        clock.now += DAY_S
        counted += await count_past_days()
    return counted


async def test_first_calls_of_forty_thousand_sites_are_spread_over_a_day(clock):
    await insert_sites(40_000)
    await enrol()
    moments = [row["next_at"] for row in await fetch("SELECT next_at FROM addonkit_presence")]
    assert len(moments) == 40_000
    assert all(NOON <= moment < NOON + DAY_S for moment in moments)
    assert max(Counter(moment // 300 for moment in moments).values()) < 160  # the mean is 139
    assert len(await due(100)) <= 1
    clock.now += 300
    assert 100 <= len(await due(1000)) < 160


async def test_site_keeps_its_moment_of_the_day(clock):
    await insert_sites(50)
    await enrol()
    for row in await PresenceRow.all():
        assert next_moment(row.tenant_id, row.next_at) == row.next_at + DAY_S


@pytest.mark.parametrize("late_s", [0, 60, 3600, 43_199, 43_200, 86_399, 100_000])
async def test_site_is_not_called_twice_within_half_a_day(clock, late_s):
    moment = next_moment(7, NOON)
    after = next_moment(7, moment + late_s)
    assert after - (moment + late_s) >= DAY_S / 2
    assert (after - moment) % DAY_S == 0


async def test_overdue_sites_are_limited_to_the_longest_overdue(clock):
    await insert_sites(100)
    await enrol()
    clock.now += 10 * DAY_S
    numbers = [number for number, _ in await due(10)]
    oldest = await PresenceRow.all().order_by("next_at").limit(10).values_list("tenant_id", flat=True)
    assert numbers == list(oldest)


@pytest.mark.parametrize(
    ("state", "change", "is_asked"),
    [
        ("installed", {}, True),
        ("enabled", {}, True),
        ("disabled", {}, False),
        ("uninstalled", {}, False),
        ("uninstalled", {"gone_at": GONE_AT}, True),
        ("uninstalled", {"gone_at": GONE_AT, "shared_secret": None}, False),
        ("enabled", {"shared_secret": None}, False),
    ],
    ids=["installed", "enabled", "disabled", "uninstalled", "gone", "purging", "without-secret"],
)
async def test_sites_in_use_and_gone_ones_are_asked(clock, state, change, is_asked):
    await insert_sites(2)
    await enrol()
    await TenantRow.filter(id=2).update(state=state, **change)
    for _ in range(2):
        await enrol()
        assert await PresenceRow.filter(tenant_id=2).exists() == is_asked


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_refusal_is_evidence_and_another_answer_does_not_reset_it(clock, status):
    await insert_sites(40)
    await enrol()
    assert await record_answer(1, status)
    assert not await record_answer(1, status)
    for other in (None, 500, 503, 429):
        await record_answer(1, other)
    found = await evidence_of(1)
    assert (found.is_failing, found.failed_answer) == (True, str(status))


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 429, 400, 405, 418, 301, 302, 307])
async def test_other_answers_are_no_evidence(clock, status):
    await insert_sites(40)
    await enrol()
    for _ in range(20):
        assert not await record_answer(1, status)
        clock.now += DAY_S
        await count_past_days()
    found = await evidence_of(1)
    assert (found.is_failing, found.failed_days) == (False, 0)
    assert found.answer == ("no answer" if status is None else str(status))
    assert await gone_tenants(1) == []


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_success_clears_the_evidence(clock, status):
    await insert_sites(40)
    await enrol()
    await fail(clock, [1], days=2)
    assert await record_answer(1, status)
    assert not await record_answer(1, status)
    found = await evidence_of(1)
    assert (found.is_failing, found.failed_days, found.failed_since) == (False, 0, None)


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 429, 500])
async def test_answer_that_is_no_success_does_not_clear_the_evidence(clock, status):
    await insert_sites(40)
    await enrol()
    await fail(clock, [1], days=2)
    before = await evidence_of(1)
    assert not await record_answer(1, status)
    found = await evidence_of(1)
    assert (found.is_failing, found.failed_days, found.failed_since) == (True, before.failed_days, before.failed_since)


async def test_site_is_gone_after_so_many_failing_days(clock):
    await insert_sites(40)
    await enrol()
    for days in range(1, 4):
        await fail(clock, [1, 2])
        assert await gone_tenants(3) == ([1, 2] if days == 3 else [])
    assert "answered 404 at " in str(await evidence_of(1))
    assert str(await evidence_of(1)).endswith(", on 3 days")


async def test_failures_of_the_present_day_are_not_counted_yet(clock):
    await insert_sites(40)
    await enrol()
    await record_answer(1, 404)
    assert await count_past_days() == []
    assert (await evidence_of(1)).failed_days == 0
    assert (await failures_today()).failing == 1


async def test_day_without_an_answer_neither_counts_nor_resets(clock):
    await insert_sites(40)
    await enrol()
    await fail(clock, [1])
    await fail(clock, [1], status=None)
    await fail(clock, [1])
    assert await gone_tenants(2) == [1]
    assert await gone_tenants(3) == []


async def test_sign_of_life_of_a_failing_site_resets_its_days(clock):
    await insert_sites(40)
    await enrol()
    await fail(clock, [1], days=2)
    await record_answer(1, 404)
    assert await clear_evidence(1)
    assert not await clear_evidence(1)
    clock.now += DAY_S
    await count_past_days()
    assert await gone_tenants(1) == []
    await fail(clock, [1])
    assert (await evidence_of(1)).failed_days == 1


@pytest.mark.parametrize(
    ("active", "failing", "is_suspended"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
        (5, 2, False),
        (29, 3, True),
        (30, 3, False),
        (31, 4, True),
        (100, 10, False),
        (100, 11, True),
    ],
)
async def test_day_is_suspended_if_three_sites_and_more_than_a_tenth_fail(clock, active, failing, is_suspended):
    await insert_sites(active)
    await enrol()
    [day] = await fail(clock, range(1, failing + 1))
    assert (day.failing, day.active, day.is_suspended) == (failing, active, is_suspended)
    assert await gone_tenants(1) == ([] if is_suspended else list(range(1, failing + 1)))


async def test_suspended_day_leaves_earlier_days_as_they_were(clock):
    await insert_sites(20)
    await enrol()
    await fail(clock, [1])
    [day] = await fail(clock, range(1, 21))
    assert day.is_suspended
    assert (await evidence_of(1)).failed_days == 1
    second = await evidence_of(2)
    assert (second.is_failing, second.failed_days, second.failed_since) == (False, 0, None)
    await fail(clock, [1])
    assert await gone_tenants(2) == [1]


async def test_suspension_counts_sites_that_gave_a_sign_of_life_after_their_failure(clock):
    await insert_sites(20)
    await enrol()
    for number in (1, 2, 3):
        await record_answer(number, 401)
    await clear_evidence(1)
    await record_answer(2, 200)
    assert (await failures_today()).is_suspended


async def test_inactive_sites_count_neither_as_failing_nor_as_active(clock):
    await insert_sites(30)
    await enrol()
    for number in (1, 2, 3, 4):
        await record_answer(number, 404)
    await TenantRow.filter(id__in=[3, 4]).update(state=str(TenantState.DISABLED))
    today = await failures_today()
    assert (today.failing, today.active) == (2, 28)


async def test_each_day_is_counted_once(clock):
    await insert_sites(40)
    await enrol()
    assert len(await fail(clock, [1])) == 1
    assert await count_past_days() == []
    assert (await evidence_of(1)).failed_days == 1
