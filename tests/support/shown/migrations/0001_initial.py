from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Box",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
            ],
            options={"table": "shown_box", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Grid",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("rows", fields.IntField(default=3)),
                ("_secret", fields.CharField(default="hidden", max_length=20)),
            ],
            options={"table": "shown_grid", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Quota",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("order", fields.IntField(default=0)),
                ("limit", fields.IntField(default=0)),
                ("count", fields.IntField(default=0)),
                ("shape", fields.IntField(default=0)),
                ("where", fields.CharField(source_field="odd name?", default="", max_length=20)),
                ("fields", fields.IntField(default=0)),
            ],
            options={"table": "shown_quota", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Report",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
            ],
            options={"table": "shown_report", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Sheet",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
            ],
            options={"table": "shown_sheet", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Table",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(default="", max_length=20)),
            ],
            options={"table": "shown_table", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Line",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "table",
                    fields.ForeignKeyField(
                        "shown.Table",
                        source_field="table_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="rows",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("text", fields.CharField(default="", max_length=20)),
            ],
            options={"table": "shown_line", "app": "shown", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
