from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops

from tests.support.columns.models import Level, Mood


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Cell",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=10)),
                ("text", fields.TextField(null=True, unique=False)),
                ("small", fields.SmallIntField(null=True)),
                ("number", fields.IntField(null=True)),
                ("big", fields.BigIntField(null=True)),
                ("ratio", fields.FloatField(null=True)),
                ("price", fields.DecimalField(null=True, max_digits=8, decimal_places=2)),
                ("at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("day", fields.DateField(null=True)),
                ("length", fields.TimeDeltaField(null=True)),
                ("mark", fields.UUIDField(null=True)),
                ("facts", fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
                (
                    "mood",
                    fields.CharEnumField(null=True, description="GOOD: good\nBAD: bad", enum_type=Mood, max_length=4),
                ),
                (
                    "level",
                    fields.IntEnumField(null=True, description="LOW: 1\nHIGH: 2", enum_type=Level, generated=False),
                ),
            ],
            options={"table": "columns_cell", "app": "columns", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Keyed",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "cell",
                    fields.ForeignKeyField(
                        "columns.Cell",
                        source_field="cell_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="keys",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            options={"table": "columns_keyed", "app": "columns", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
