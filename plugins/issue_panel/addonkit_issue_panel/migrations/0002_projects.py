from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("issue_panel", "0001_initial")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Item",
            name="checked_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Item",
            name="missing_since",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Item",
            name="project_id",
            field=fields.CharField(default="", db_default="", max_length=64),
        ),
        ops.AddIndex(
            model_name="Item",
            index=Index(fields=["tenant_id", "project_id"]),
        ),
    ]
