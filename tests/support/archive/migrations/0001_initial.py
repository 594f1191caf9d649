from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Folder",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "parent",
                    fields.ForeignKeyField(
                        "archive.Folder",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="folders",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
            ],
            options={"table": "archive_folder", "app": "archive", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Paper",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "folder",
                    fields.ForeignKeyField(
                        "archive.Folder",
                        source_field="folder_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="papers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
            ],
            options={"table": "archive_paper", "app": "archive", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Record",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("amount", fields.DecimalField(max_digits=20, decimal_places=6)),
                ("seal", fields.BinaryField()),
                ("data", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("day", fields.DateField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("valid", fields.BooleanField()),
                ("share", fields.FloatField()),
                ("text", fields.TextField(null=True, unique=False)),
            ],
            options={"table": "archive_record", "app": "archive", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Version",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "paper",
                    fields.ForeignKeyField(
                        "archive.Paper",
                        source_field="paper_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="versions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
            ],
            options={"table": "archive_version", "app": "archive", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
