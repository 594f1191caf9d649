"""Lifecycle jobs are stored together with the change of the tenant that they are about, or not at all."""

import json
import signal
import subprocess
import sys

import pytest
from addonkit.database.location import Location
from addonkit.testing.databases import create_tables, database_settings, run_sql


def killed_install(tmp_path, point):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.killed_install",
            point,
            json.dumps(database_settings(tmp_path, create=False)),
        ],
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("point", "tenants", "jobs"), [("before_jobs", 0, 0), ("after_jobs", 0, 0), ("after_commit", 1, 2)]
)
async def test_lifecycle_jobs_and_tenant_row_survive_a_kill_together_or_not_at_all(tmp_path, point, tenants, jobs):
    await create_tables(Location(**database_settings(tmp_path, create=False)), {})
    killed_install(tmp_path, point)
    counts = [
        run_sql(tmp_path, f"SELECT count(*) FROM {table}")[0][0]
        for table in ("addonkit_tenant", "addonkit_tenant_history", "addonkit_used_token", "addonkit_job")
    ]
    assert counts == [tenants, tenants, tenants, jobs]
