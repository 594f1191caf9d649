"""The tables of jobs have settings of PostgreSQL's autovacuum, after a migration by the owner of the tables."""

from __future__ import annotations

import asyncpg
import pytest
from addonkit.database.location import Location
from addonkit.testing.databases import create_tables, database_settings

pytestmark = pytest.mark.postgresql

JOB = {
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_limit": "1000",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_analyze_threshold": "1000",
}
DONE = {
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "1000",
    "autovacuum_analyze_scale_factor": "0.05",
}
DELTA = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "5000",
    "autovacuum_analyze_scale_factor": "0",
    "autovacuum_analyze_threshold": "50000",
}


def payloads(share):
    return {"autovacuum_vacuum_scale_factor": share, "autovacuum_vacuum_threshold": "2000"}


EXPECTED = {
    "addonkit_job": (JOB, payloads("0.01")),
    "addonkit_done_job": (DONE, payloads("0.05")),
    "addonkit_job_delta": (DELTA, {}),
    "addonkit_schedule": ({}, {}),
    "addonkit_tenant": ({}, {}),
}


async def test_tables_of_jobs_have_settings_of_autovacuum(tmp_path):
    location = Location(**database_settings(tmp_path))
    await create_tables(location, {})
    connection = await asyncpg.connect(location.owner_url or location.url)
    try:
        for table, (own, payload) in EXPECTED.items():
            assert await options_of(connection, f"oid = '{table}'::regclass") == own, table
            of_payloads = f"oid = (SELECT reltoastrelid FROM pg_class WHERE oid = '{table}'::regclass)"
            assert await options_of(connection, of_payloads) == payload, table
    finally:
        await connection.close()


async def options_of(connection, condition):
    options = await connection.fetchval(f"SELECT reloptions FROM pg_class WHERE {condition}")
    return dict(option.split("=") for option in options or [])
