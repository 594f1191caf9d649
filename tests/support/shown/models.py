"""Models of the plugin."""

from addonkit.tenant_data.model import TenantModel
from tortoise import fields


class Quota(TenantModel):
    id = fields.IntField(primary_key=True)
    order = fields.IntField(default=0)
    limit = fields.IntField(default=0)
    count = fields.IntField(default=0)
    shape = fields.IntField(default=0)
    where = fields.CharField(20, default="", source_field="odd name?")
    fields = fields.IntField(default=0)

    class Meta:
        table = "shown_quota"
        ordering = ("-count", "id")


class Grid(TenantModel):
    id = fields.IntField(primary_key=True)
    rows = fields.IntField(default=3)
    _secret = fields.CharField(20, default="hidden")

    class Meta:
        table = "shown_grid"


class Table(TenantModel):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(20, default="")
    rows: fields.ReverseRelation["Line"]

    class Meta:
        table = "shown_table"


class Line(TenantModel):
    id = fields.IntField(primary_key=True)
    table = fields.ForeignKeyField("shown.Table", related_name="rows")
    text = fields.CharField(20, default="")

    class Meta:
        table = "shown_line"
        ordering = ("table__name",)


class Box(TenantModel):
    id = fields.IntField(primary_key=True)

    class Meta:
        table = "shown_box"

    @property
    def rows(self):
        return self.id * 10


class Sheet(TenantModel):
    id = fields.IntField(primary_key=True)

    rows = "an attribute"

    class Meta:
        table = "shown_sheet"


class Report(TenantModel):
    id = fields.IntField(primary_key=True)

    class Meta:
        table = "shown_report"

    @classmethod
    async def rows(cls, number):
        return [number, await cls.all().count()]
