from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Item",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("issue_id", fields.CharField(max_length=64)),
                ("text", fields.CharField(max_length=500)),
                ("done", fields.BooleanField(default=False)),
                ("rank", fields.BigIntField()),
                ("version", fields.IntField(default=1)),
                ("created_by", fields.CharField(max_length=128)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("done_by", fields.CharField(null=True, max_length=128)),
                ("done_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("edited_by", fields.CharField(null=True, max_length=128)),
                ("edited_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "issue_panel_item",
                "app": "issue_panel",
                "indexes": [Index(fields=["tenant_id", "issue_id"])],
                "pk_attr": "id",
                "table_description": "One item of an issue's checklist.",
            },
            bases=["TenantModel"],
        ),
    ]
