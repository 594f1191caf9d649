"""A table for done jobs, so that the table that jobs are claimed from stays small.

**Rolling upgrade.** Processes of earlier releases neither move done jobs nor look for them here. Until the last of them
has ended, a webhook that is repeated more than a minute after it was handled may be handled again if one of them
receives it.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0007_blocked_jobs")]

    initial = False

    operations = [
        ops.CreateModel(
            name="DoneJobRow",
            fields=[
                ("id", fields.BigIntField(generated=False, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(db_index=True)),
                ("plugin", fields.CharField(max_length=100)),
                ("name", fields.CharField(max_length=100)),
                ("kind", fields.CharField(max_length=12)),
                ("payload", fields.BinaryField(null=True)),
                ("version", fields.IntField()),
                ("facts", fields.TextField(unique=False)),
                ("dedupe", fields.CharField(null=True, max_length=255)),
                ("order_key", fields.CharField(null=True, max_length=255)),
                ("due_at", fields.FloatField()),
                ("starts", fields.IntField()),
                ("failures", fields.IntField()),
                ("error", fields.TextField(null=True, unique=False)),
                ("created_at", fields.FloatField()),
                ("finished_at", fields.FloatField()),
            ],
            options={
                "table": "addonkit_done_job",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "One job that is done, apart from the table that jobs are claimed from. "
                "Its payload is null once it is dropped.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(
            "CREATE UNIQUE INDEX addonkit_done_job_once ON addonkit_done_job (tenant_id, plugin, name, dedupe) "
            "WHERE dedupe IS NOT NULL"
        ),
        ops.RunSQL("CREATE INDEX addonkit_done_job_at ON addonkit_done_job (finished_at)"),
        ops.RunSQL(
            "CREATE INDEX addonkit_done_job_payload ON addonkit_done_job (finished_at) WHERE payload IS NOT NULL"
        ),
    ]
