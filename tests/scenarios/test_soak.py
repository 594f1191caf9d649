"""``make soak``: two machines under mixed load for a long time, with a failover and a rolling restart in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.nginx import needs_nginx
from tests.support.soak import DEAD, EFFECTS, IN_ORDER, soak

MINUTES = float(os.environ.get("ADDONKIT_SOAK_MINUTES", "5"))
# What a worker may grow by in the last part of a short run, and for each hour beyond it.
GROWTH_MB, GROWTH_MB_PER_HOUR = 12.0, 6.0


@pytest.mark.soak
@pytest.mark.postgresql
@needs_nginx
async def test_soak_loses_nothing_and_keeps_its_memory(tmp_path: Path) -> None:
    async with soak(tmp_path, MINUTES) as run:
        await run.run()
        await run.look_at_dashboard()
        figures = await run.figures()
        effects = dict(await run.fetch(EFFECTS))
        ordered = [name for (name,) in await run.fetch(IN_ORDER)]
        dead = await run.fetch(DEAD)
        codes = [await group.end() for group in run.groups]
        sys.stdout.write("\n" + "".join(f"{name:42} {value}\n" for name, value in figures.items()))
    assert run.lost(set(effects)) == []
    assert set(effects.values()) == {1}
    assert ordered == sorted(ordered)
    assert dead == [(0,)]
    assert run.failures() == []
    assert run.errors() == []
    assert set(run.observed.scrapes) == {200}
    assert run.observed.missing == set()
    assert max(run.growth_mb()) < GROWTH_MB + GROWTH_MB_PER_HOUR * MINUTES / 60
    assert [group.exits() for group in run.groups] == [0, 0]
    assert codes == [0, 0]
