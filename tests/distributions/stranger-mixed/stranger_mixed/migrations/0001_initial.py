from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Effect",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=100)),
                ("issue_id", fields.CharField(max_length=64)),
            ],
            options={
                "table": "stranger_mixed_effect",
                "app": "stranger_mixed",
                "unique_together": (("tenant_id", "name"),),
                "pk_attr": "id",
            },
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Note",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("issue_id", fields.CharField(db_index=True, max_length=64)),
                ("text", fields.CharField(max_length=200)),
            ],
            options={"table": "stranger_mixed_note", "app": "stranger_mixed", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Run",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=100)),
            ],
            options={"table": "stranger_mixed_run", "app": "stranger_mixed", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
