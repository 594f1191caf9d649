"""The daily calls that ask sites whether they still know the add-on: when each is due, and what was answered.

Each site has a moment of the day of its own, so that the calls are spread over the day. An answer that the site does
not know the add-on is a *failure*; failures are counted once their day is over, and any sign of life resets the count.
A day is a UTC day by the database's clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import database_time, execute, fetch
from addonkit.tenancy.history import Change, history_of
from addonkit.tenancy.models import PresenceRow

DAY_S = 86400
STRIDE_S = 7919
"""Seconds between the moments of two successive tenant numbers: a prime, so that all moments of the day are used."""
MIN_PAUSE_S = DAY_S // 2
"""Minimum time between two calls of one site, after a call that came late."""
ASK_AGAIN_S = 3600.0
"""Minimum time between two calls of a gone site that sends signed requests."""
MIN_FAILING = 3
SUSPENDED_SHARE = 10
"""Failures are not counted if at least ``MIN_FAILING`` sites and more than one in ``SUSPENDED_SHARE`` fail on a day."""
FAILURES = frozenset({401, 403, 404, 410})
"""HTTP statuses of a site that does not know the add-on. Others, and no answer at all, are no evidence."""
EPOCH = date(1970, 1, 1)

ACTIVE = "t.state IN ('installed', 'enabled')"
ASKED = f"({ACTIVE} OR (t.state = 'uninstalled' AND t.gone_at IS NOT NULL)) AND t.shared_secret IS NOT NULL"
"""The condition for tenants whose sites are called: active ones, and gone ones until they are purged."""
DELETE_OTHERS = f"""
DELETE FROM addonkit_presence WHERE tenant_id NOT IN (SELECT t.id FROM addonkit_tenant t WHERE {ASKED})
"""  # noqa: S608 - put together from constants
ENROL = f"""
INSERT INTO addonkit_presence (tenant_id, next_at)
SELECT t.id, CAST(? AS double precision) + (CAST(t.id AS bigint) * {STRIDE_S} + {DAY_S} - ?) % {DAY_S}
FROM addonkit_tenant t
WHERE {ASKED} AND NOT EXISTS (SELECT 1 FROM addonkit_presence p WHERE p.tenant_id = t.id)
ON CONFLICT (tenant_id) DO NOTHING
"""  # noqa: S608 - as above
SELECT_DUE = """
SELECT p.tenant_id, t.key FROM addonkit_presence p JOIN addonkit_tenant t ON t.id = p.tenant_id
WHERE p.next_at <= ? ORDER BY p.next_at LIMIT ?
"""
NOTE_FAILURE = """
UPDATE addonkit_presence SET asked_at = ?, answer = ?, failed_at = ?, failed_answer = ?, failed_on = ?,
    failed_since = CASE WHEN is_failing THEN failed_since ELSE ? END,
    failed_days = CASE WHEN is_failing THEN failed_days ELSE 0 END, is_failing = TRUE, next_at = ?
WHERE tenant_id = ?
"""
RESET = "is_failing = FALSE, failed_days = 0, failed_since = NULL"
NOTE_PRESENCE = f"""
UPDATE addonkit_presence SET asked_at = ?, answer = ?, {RESET}, next_at = ? WHERE tenant_id = ?
"""  # noqa: S608 - as above
NOTE_NOTHING = "UPDATE addonkit_presence SET asked_at = ?, answer = ?, next_at = ? WHERE tenant_id = ?"
CLEAR = f"UPDATE addonkit_presence SET {RESET} WHERE tenant_id = ? AND is_failing"  # noqa: S608 - as above
ASK_SOON = """
UPDATE addonkit_presence SET next_at = UNIX_TIME()
WHERE tenant_id = ? AND next_at > UNIX_TIME() AND (asked_at IS NULL OR asked_at < UNIX_TIME() - ?)
"""
COUNT_ACTIVE = f"SELECT count(*) AS number FROM addonkit_tenant t WHERE {ACTIVE}"  # noqa: S608 - as above
COUNT_FAILING = f"""
SELECT count(*) AS number FROM addonkit_presence p JOIN addonkit_tenant t ON t.id = p.tenant_id
WHERE p.failed_on = ? AND {ACTIVE}
"""  # noqa: S608 - as above
UNCOUNTED_DAYS = "SELECT DISTINCT failed_on AS day FROM addonkit_presence WHERE failed_on < ? ORDER BY failed_on"
COUNT_DAY = """
UPDATE addonkit_presence SET failed_days = failed_days + CASE WHEN is_failing THEN 1 ELSE 0 END, failed_on = NULL
WHERE failed_on = ?
"""
DISCARD_DAY = """
UPDATE addonkit_presence SET failed_on = NULL, is_failing = is_failing AND failed_days > 0,
    failed_since = CASE WHEN failed_days > 0 THEN failed_since END
WHERE failed_on = ?
"""
SELECT_GONE = f"""
SELECT p.tenant_id FROM addonkit_presence p JOIN addonkit_tenant t ON t.id = p.tenant_id
WHERE p.is_failing AND p.failed_days >= ? AND {ACTIVE} ORDER BY p.tenant_id
"""  # noqa: S608 - as above


class Evidence(NamedTuple):
    """What the daily calls of a site were answered.

    Attributes:
        asked_at: Time of the last call, UTC; None before the first one.
        answer: Its HTTP status, or ``no answer``.
        is_failing: Whether the last answer that counts was a failure, and the site gave no sign of life since.
        failed_days: Number of days with a failure and no other answer that counts; the present day is not counted yet.
        failed_since: Time of the first of these failures, UTC.
        failed_at: Time of the last failure, UTC.
        failed_answer: Its HTTP status.
    """

    asked_at: datetime | None
    answer: str
    is_failing: bool
    failed_days: int
    failed_since: datetime | None
    failed_at: datetime | None
    failed_answer: str

    def __str__(self) -> str:
        """Describe the evidence in a sentence without a subject."""
        if not self.is_failing or self.failed_since is None or self.failed_at is None:
            return f"answered {self.answer}" if self.answer else "was not called yet"
        days = f"{self.failed_days} day{'' if self.failed_days == 1 else 's'}"
        return (
            f"answered {self.failed_answer} at {_time(self.failed_at)}, and did not know the add-on in any answer "
            f"since {_time(self.failed_since)}, on {days}"
        )


class DayOfFailures(NamedTuple):
    """The failures of one day.

    Attributes:
        day: The day, UTC.
        failing: Number of active sites that did not know the add-on on that day.
        active: Number of active sites.
    """

    day: date
    failing: int
    active: int

    @property
    def is_suspended(self) -> bool:
        """Whether so many sites fail that the fault is the add-on's own: its clock, its key or its proxy."""
        return self.failing >= MIN_FAILING and self.failing * SUSPENDED_SHARE > self.active


async def enrol() -> None:
    """Plan the first call of each site that has none yet, within a day; forget sites that are not called any more.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    now = await database_time()
    await execute(DELETE_OTHERS)
    await execute(ENROL, [float(int(now)), int(now) % DAY_S])


async def due(limit: int) -> list[tuple[int, str]]:
    """Return number and key of the sites whose call is due, the longest overdue first.

    Args:
        limit: Maximum number of sites.
    """
    return [(row["tenant_id"], row["key"]) for row in await fetch(SELECT_DUE, [await database_time(), limit])]


async def count_enrolled() -> int:
    """Return the number of sites that are called daily."""
    with storage_errors():
        return await PresenceRow.all().count()


async def record_answer(tenant_id: int, status: int | None) -> bool:
    """Store what a site answered; return whether that changed whether it is failing.

    Args:
        tenant_id: The tenant's number.
        status: The HTTP status; None if there was no answer.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await PresenceRow.select_for_update().get_or_none(tenant_id=tenant_id)
            if row is None:
                return False
            now = await database_time()
            answer, after = "no answer" if status is None else str(status), next_moment(tenant_id, now)
            if status in FAILURES:
                values = [now, answer, now, answer, int(now) // DAY_S, now, after, tenant_id]
                await execute(NOTE_FAILURE, values)
                return not row.is_failing
            if status is not None and 200 <= status < 300:
                await execute(NOTE_PRESENCE, [now, answer, after, tenant_id])
                return row.is_failing
            await execute(NOTE_NOTHING, [now, answer, after, tenant_id])
            return False


def next_moment(tenant_id: int, now: float) -> float:
    """Return the time of a site's next call: its moment of the day, at least half a day from now."""
    earliest = int(now) + MIN_PAUSE_S
    return float(earliest + (tenant_id * STRIDE_S - earliest) % DAY_S)


async def clear_evidence(tenant_id: int) -> bool:
    """Reset the failures of a site that gave a sign of life; return whether it had any."""
    return bool(await execute(CLEAR, [tenant_id]))


async def ask_soon(tenant_id: int) -> None:
    """Make the next call of a site due now, unless it was called within the last hour."""
    await execute(ASK_SOON, [tenant_id, ASK_AGAIN_S])


async def evidence_of(tenant_id: int) -> Evidence | None:
    """Return the evidence about a site; None if it is not called."""
    with storage_errors():
        row = await PresenceRow.get_or_none(tenant_id=tenant_id)
    return None if row is None else _evidence(row)


async def evidence_for_purge(tenant_id: int) -> str:
    """Describe why a site counts as gone: the entry in its history, and the last answer since."""
    with storage_errors():
        entries = [entry for entry in await history_of(tenant_id) if entry.what == Change.GONE]
        row = await PresenceRow.get_or_none(tenant_id=tenant_id)
    marked = f"{entries[-1].detail}; marked as gone at {_time(entries[-1].at)}" if entries else "no record of answers"
    last = "" if row is None or row.asked_at is None else f"; last answer {row.answer} at {_time(_utc(row.asked_at))}"
    return f"{marked}{last}"


async def failures_today() -> DayOfFailures:
    """Count the failures of the present day so far."""
    return await _failures_on(int(await database_time()) // DAY_S)


async def count_past_days() -> list[DayOfFailures]:
    """Count the failures of days that are over, each day once, and return these days in order.

    The failures of a suspended day are discarded.
    """
    today = int(await database_time()) // DAY_S
    days = []
    for row in await fetch(UNCOUNTED_DAYS, [today]):
        with storage_errors():
            async with in_transaction(CONNECTION):
                day = await _failures_on(row["day"])
                await execute(DISCARD_DAY if day.is_suspended else COUNT_DAY, [row["day"]])
        days.append(day)
    return days


async def gone_tenants(gone_days: int) -> list[int]:
    """Return the numbers of active tenants whose sites did not know the add-on on so many days in a row."""
    return [row["tenant_id"] for row in await fetch(SELECT_GONE, [gone_days])]


async def _failures_on(day: int) -> DayOfFailures:
    [failing], [active] = await fetch(COUNT_FAILING, [day]), await fetch(COUNT_ACTIVE)
    return DayOfFailures(EPOCH + timedelta(days=day), failing["number"], active["number"])


def _evidence(row: PresenceRow) -> Evidence:
    return Evidence(
        asked_at=_utc(row.asked_at),
        answer=row.answer,
        is_failing=row.is_failing,
        failed_days=row.failed_days,
        failed_since=_utc(row.failed_since),
        failed_at=_utc(row.failed_at),
        failed_answer=row.failed_answer,
    )


def _utc(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


def _time(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
