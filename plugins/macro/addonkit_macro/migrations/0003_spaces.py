from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("macro", "0002_places")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Place",
            name="checked_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Place",
            name="missing_since",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Place",
            name="space_key",
            field=fields.CharField(default="", db_default="", max_length=255),
        ),
        ops.AddIndex(
            model_name="Place",
            index=Index(fields=["tenant_id", "space_key"]),
        ),
    ]
