"""The request and the trace that a job comes from.

**Rolling upgrade.** Jobs that processes of earlier releases enqueue have neither, and those that they move when they are
done lose them.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

TABLES = ("JobRow", "DoneJobRow")
COLUMNS = {"request_id": 16, "traceparent": 55}


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0013_job_counts")]

    initial = False

    operations = [
        ops.AddField(model_name=table, name=name, field=fields.CharField(null=True, max_length=length))
        for table in TABLES
        for name, length in COLUMNS.items()
    ]
