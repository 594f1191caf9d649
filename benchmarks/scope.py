"""What it costs to make an add-on, its tenant and its plugin current for one request."""

from __future__ import annotations

import time

from addonkit.context import Tenant, TenantState
from addonkit.current import Runtime
from addonkit.database.orm_context import ORM_VARIABLE, DatabaseContext
from addonkit.tenant_data.scope import work_scope
from machine import Sample
from results import Goal, Result

TIMES = 100_000
TENANT = Tenant(
    1, "site", "jira", "https://example.atlassian.net", "https://example.atlassian.net", TenantState.ENABLED
)


async def scope(pairs: int, _: int) -> list[Result]:
    """Measure entering and leaving the add-on's scope, and that of tenant and plugin, in µs of this process."""
    runtime = Runtime(orm_variable=ORM_VARIABLE, orm_context=DatabaseContext("sqlite"))

    def addon() -> None:
        with runtime.scope():
            pass

    def plugin() -> None:
        with work_scope(TENANT, "bench", request_id="0123456789abcdef"):
            pass

    with runtime.scope():
        figures = [[_microseconds(side) for side in (addon, plugin)] for _ in range(pairs)]
    return [
        Result("scope of the add-on, µs per request", [each[0] for each in figures], (), "µs", Goal(3, False)),
        Result("scope of tenant and plugin, µs per request", [each[1] for each in figures], (), "µs"),
    ]


def _microseconds(call: object) -> Sample:
    assert callable(call)
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in range(TIMES):
        call()
    return Sample((time.perf_counter() - clock) / TIMES * 1e6, (time.process_time() - cpu) / TIMES * 1e6)
