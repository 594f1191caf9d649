"""Evidence about sites that may be gone: answers that count, days with too many failures, and what operators read."""

from datetime import UTC, date, datetime

import pytest
from addonkit.tenancy import presence
from addonkit.tenancy.history import Change, record_change
from addonkit.tenancy.models import PresenceRow, TenantHistory, TenantRow
from addonkit.tenancy.presence import DayOfFailures, Evidence
from addonkit.tenant_data.connection import tenant_database

from tests.support.database_clock import database_clock
from tests.support.tenant_rows import InstalledSites

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    with database_clock() as clock:
        clock.set(NOON.timestamp())
        yield clock


@pytest.fixture
async def site(location, clock):
    async with tenant_database(location, {}):
        yield await InstalledSites().install("one")


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        *((status, "failing") for status in (401, 403, 404, 410)),
        *((status, "present") for status in (200, 204, 299)),
        *((status, "nothing") for status in (199, 300, 302, 400, 402, 409, 411, 500, 503, None)),
    ],
)
@pytest.mark.parametrize("was_failing", [False, True])
async def test_answer_of_a_site_counts_by_its_status(site, status, counts, was_failing):
    days = 2 if was_failing else 0
    before = {"is_failing": was_failing, "failed_days": days, "failed_since": 5.0 if was_failing else None}
    await PresenceRow.create(tenant_id=site.id, next_at=1.0, **before)
    changed = await presence.record_answer(site.id, status)
    row, now = await PresenceRow.get(), NOON.timestamp()
    assert (row.asked_at, row.answer) == (now, "no answer" if status is None else str(status))
    assert row.next_at == presence.next_moment(site.id, now) > now + 43_000
    if counts == "failing":
        assert (row.is_failing, row.failed_days, row.failed_since) == (True, days, 5.0 if was_failing else now)
        assert (row.failed_at, row.failed_answer, row.failed_on) == (now, str(status), 19849)
    elif counts == "present":
        assert (row.is_failing, row.failed_days, row.failed_since) == (False, 0, None)
    else:
        assert {name: getattr(row, name) for name in before} == before
    assert changed == (row.is_failing != was_failing)


async def test_answer_of_a_site_that_is_not_called_is_ignored(site):
    assert not await presence.record_answer(site.id, 404)
    assert await presence.evidence_of(site.id) is None


@pytest.mark.parametrize(
    ("failing", "active", "is_suspended"),
    [(0, 0, False), (2, 2, False), (3, 3, True), (3, 29, True), (3, 30, False), (4, 39, True), (4, 40, False)],
)
def test_day_is_suspended_if_more_than_one_site_in_ten_fails_and_at_least_three_do(failing, active, is_suspended):
    assert DayOfFailures(date(2024, 5, 6), failing, active).is_suspended == is_suspended


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (NOON, date(2024, 5, 6)),
        (datetime(2024, 5, 6, tzinfo=UTC), date(2024, 5, 6)),
        (datetime(2024, 5, 6, 23, 59, 59, tzinfo=UTC), date(2024, 5, 6)),
        (datetime(1970, 1, 2, tzinfo=UTC), date(1970, 1, 2)),
    ],
)
async def test_failures_are_those_of_the_present_day(site, clock, at, day):
    clock.set(at.timestamp())
    await PresenceRow.create(tenant_id=site.id, next_at=1.0)
    await presence.record_answer(site.id, 404)
    assert await presence.failures_today() == DayOfFailures(day, 1, 1)
    assert await presence.count_past_days() == []
    clock.set(at.timestamp() + 86_400)
    assert await presence.count_past_days() == [DayOfFailures(day, 1, 1)]
    assert await presence.count_past_days() == []
    assert (await presence.evidence_of(site.id)).failed_days == 1


@pytest.mark.parametrize(("days", "numbers"), [(1, True), (2, True), (3, False)])
async def test_gone_tenants_are_active_ones_that_failed_on_enough_days(site, days, numbers):
    await PresenceRow.create(tenant_id=site.id, next_at=1.0, is_failing=True, failed_days=2)
    assert await presence.gone_tenants(days) == ([site.id] if numbers else [])
    await TenantRow.all().update(state="disabled")
    assert await presence.gone_tenants(days) == []


FAILING = Evidence(NOON, "404", True, 1, datetime(2024, 5, 1, tzinfo=UTC), NOON, "404")
SENTENCE = "answered 404 at 2024-05-06 12:00 UTC, and did not know the add-on in any answer since 2024-05-01 00:00 UTC"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f"{SENTENCE}, on 1 day"),
        ({"failed_days": 0}, f"{SENTENCE}, on 0 days"),
        ({"failed_days": 2}, f"{SENTENCE}, on 2 days"),
        ({"is_failing": False, "answer": "200"}, "answered 200"),
        ({"failed_since": None}, "answered 404"),
        ({"failed_at": None}, "answered 404"),
        ({"is_failing": False, "answer": ""}, "was not called yet"),
    ],
)
def test_evidence_is_described_in_a_sentence(changes, text):
    names = ("asked_at", "answer", "is_failing", "failed_days", "failed_since", "failed_at", "failed_answer")
    assert str(Evidence(**({name: getattr(FAILING, name) for name in names} | changes))) == text


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize(
    ("row", "last"),
    [
        (None, ""),
        ({}, ""),
        ({"asked_at": NOON.timestamp(), "answer": "503"}, "; last answer 503 at 2024-05-06 12:00 UTC"),
        ({"asked_at": NOON.timestamp(), "answer": "no answer"}, "; last answer no answer at 2024-05-06 12:00 UTC"),
    ],
    ids=["not called", "not asked", "answered", "no answer"],
)
async def test_purge_names_the_evidence_of_the_history_and_the_last_answer(site, marked, row, last):
    if marked:
        tenant = await TenantRow.get(id=site.id)
        for detail in ("the site was away", "the site answered 404"):
            await record_change(tenant, Change.GONE, detail)
        await TenantHistory.filter(what="gone").update(at=NOON)
    if row is not None:
        await PresenceRow.create(tenant_id=site.id, next_at=1.0, **row)
    first = "the site answered 404; marked as gone at 2024-05-06 12:00 UTC" if marked else "no record of answers"
    assert await presence.evidence_for_purge(site.id) == first + last


async def test_site_is_enrolled_once_and_forgotten_when_it_is_not_called_any_more(site, clock):
    await presence.enrol()
    row = await PresenceRow.get()
    now = NOON.timestamp()
    assert now <= row.next_at < now + 86_400
    assert int(row.next_at) % 86_400 == site.id * presence.STRIDE_S % 86_400
    clock.set(now + 5000)
    await presence.enrol()
    assert (await PresenceRow.get()).next_at == row.next_at
    assert await presence.count_enrolled() == 1
    clock.set(row.next_at - 1)
    assert await presence.due(9) == []
    clock.set(row.next_at)
    assert await presence.due(9) == [(site.id, "one")]
    assert await presence.due(0) == []
    await TenantRow.all().update(state="disabled")
    await presence.enrol()
    assert await presence.count_enrolled() == 0
