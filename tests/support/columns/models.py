"""Models of the plugin."""

import enum

from addonkit.tenant_data.model import TenantModel
from tortoise import fields


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Cell(TenantModel):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(10)
    text = fields.TextField(null=True)
    small = fields.SmallIntField(null=True)
    number = fields.IntField(null=True)
    big = fields.BigIntField(null=True)
    ratio = fields.FloatField(null=True)
    price = fields.DecimalField(8, 2, null=True)
    at = fields.DatetimeField(null=True)
    day = fields.DateField(null=True)
    length = fields.TimeDeltaField(null=True)
    mark = fields.UUIDField(null=True)
    facts = fields.JSONField(null=True)
    mood = fields.CharEnumField(Mood, null=True)
    level = fields.IntEnumField(Level, null=True)

    class Meta:
        table = "columns_cell"


class Keyed(TenantModel):
    id = fields.UUIDField(primary_key=True)
    cell = fields.ForeignKeyField("columns.Cell", related_name="keys", null=True)

    class Meta:
        table = "columns_keyed"
