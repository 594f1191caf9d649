"""Indexes for lists and numbers of jobs, and settings of PostgreSQL's autovacuum for the tables of jobs.

The index of the queue's handlers has few different entries, which PostgreSQL stores once each (deduplication). The
indexes of errors have only the jobs that have one. ``docs/database.md`` explains the settings of autovacuum.

**Rolling upgrade.** Processes of earlier releases go on as before. Nothing can be stored while the indexes are built,
which takes a few seconds for a million jobs; requests wait.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

INDEXES = (
    "addonkit_job_handler ON addonkit_job (plugin, name, kind, state)",
    "addonkit_job_error ON addonkit_job (id) WHERE error IS NOT NULL",
    "addonkit_done_job_handler ON addonkit_done_job (plugin, name, kind, id)",
    "addonkit_done_job_error ON addonkit_done_job (id) WHERE error IS NOT NULL",
)
# The numbers are shares of a table's rows, or rows. "toast." is the table of its long payloads.
AUTOVACUUM = {
    "addonkit_job": {
        "autovacuum_vacuum_scale_factor": 0.01,
        "autovacuum_vacuum_threshold": 1000,
        "autovacuum_vacuum_cost_limit": 1000,
        "autovacuum_analyze_scale_factor": 0.02,
        "autovacuum_analyze_threshold": 1000,
        "toast.autovacuum_vacuum_scale_factor": 0.01,
        "toast.autovacuum_vacuum_threshold": 2000,
    },
    "addonkit_done_job": {
        "autovacuum_vacuum_scale_factor": 0.05,
        "autovacuum_vacuum_threshold": 1000,
        "autovacuum_vacuum_insert_scale_factor": 0.05,
        "autovacuum_vacuum_cost_limit": 1000,
        "autovacuum_analyze_scale_factor": 0.05,
        "toast.autovacuum_vacuum_scale_factor": 0.05,
        "toast.autovacuum_vacuum_threshold": 2000,
    },
}


async def set_autovacuum(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    if editor.client.capabilities.dialect != "postgres":
        return
    for table, options in AUTOVACUUM.items():
        settings = ", ".join(f"{name} = {value}" for name, value in options.items())
        await editor.client.execute_query(f"ALTER TABLE {table} SET ({settings})")


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0014_job_origins")]

    initial = False

    operations = [
        *[ops.RunSQL(f"CREATE INDEX {index}") for index in INDEXES],
        ops.RunPython(set_autovacuum),
    ]
