from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Row",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("issue_key", fields.CharField(max_length=64)),
                ("text", fields.CharField(max_length=200)),
                ("done", fields.BooleanField(default=False)),
                ("place", fields.IntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
            ],
            options={
                "table": "bench_page_row",
                "app": "bench_page",
                "indexes": [Index(fields=["tenant_id", "issue_key"])],
                "pk_attr": "id",
                "table_description": "One row of an issue's list.",
            },
            bases=["TenantModel"],
        ),
    ]
