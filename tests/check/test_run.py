"""All checks together: their order, and checks that fail themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from addonkit.check import CheckContext, run_checks
from addonkit.check.run import LOCAL, REMOTE

from tests.support.checks import KEY, Outside
from tests.support.plugin_under_test import deployment


async def test_check_that_fails_itself_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addonkit.check.database.Vault", None)
    made_of = deployment(tmp_path, security={"encryption_keys": [KEY]})
    found = {one.check: one async for one in run_checks(CheckContext(made_of))}
    assert list(found) == list(LOCAL)
    assert (found["keys"].state, "the check itself failed (TypeError)" in found["keys"].message) == ("wrong", True)


async def test_remote_checks_all_run_and_pass(outside: Outside) -> None:
    async with outside.case() as case:
        found = {one.check: one async for one in run_checks(case)}
    assert [found[name].state.value for name in REMOTE] == ["warn", "ok", "ok", "ok", "ok"], found
