"""Limits of the rooms of plugins' data at the limit: just below, nothing is deleted; just above, it is."""

from datetime import UTC, datetime, timedelta

import pytest
from addonkit.jobs.lifecycle import move_jobs
from addonkit.tenancy.models import TenantHistory
from addonkit.tenant_data.adoption import adopt, delete_late_rows, plan_adoption
from addonkit.tenant_data.tables import count_tenant_rows

from tests.support.tenant_rows import create_rows


@pytest.mark.parametrize(
    ("after_s", "injected"),
    [(3600, {}), (600, {"min_age_s": 600.0}), (90_000, {"min_age_s": 90_000.0})],
    ids=["as shipped", "shorter", "longer"],
)
@pytest.mark.parametrize(("late_s", "deleted"), [(-60, 0), (1, 1)], ids=["below", "above"])
async def test_late_rows_of_a_number_given_up_are_deleted_after_a_time(sites, after_s, injected, late_s, deleted):
    old, new = await sites.install("old"), await sites.install("new")
    plan = await plan_adoption(new.id, old.id, [])
    await adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs)
    await create_rows(new)
    await TenantHistory.all().update(at=datetime.now(UTC) - timedelta(seconds=after_s + late_s))
    assert await delete_late_rows([], **injected) == deleted
    assert any((await count_tenant_rows(new, [])).values()) == (deleted == 0)
