"""Models of the plugin."""

from addonkit.tenant_data.model import TenantModel
from tortoise import fields
from tortoise.fields import RESTRICT


class Folder(TenantModel):
    id = fields.IntField(primary_key=True)
    parent = fields.ForeignKeyField("archive.Folder", related_name="folders", null=True, on_delete=RESTRICT)

    class Meta:
        table = "archive_folder"


class Paper(TenantModel):
    id = fields.IntField(primary_key=True)
    folder = fields.ForeignKeyField("archive.Folder", related_name="papers", on_delete=RESTRICT)
    newest = fields.ForeignKeyField("archive.Version", related_name="newest_of", null=True, on_delete=RESTRICT)

    class Meta:
        table = "archive_paper"


class Version(TenantModel):
    id = fields.IntField(primary_key=True)
    paper = fields.ForeignKeyField("archive.Paper", related_name="versions", on_delete=RESTRICT)

    class Meta:
        table = "archive_version"


class Record(TenantModel):
    id = fields.UUIDField(primary_key=True)
    amount = fields.DecimalField(max_digits=20, decimal_places=6)
    seal = fields.BinaryField()
    data = fields.JSONField()
    day = fields.DateField()
    at = fields.DatetimeField()
    valid = fields.BooleanField()
    share = fields.FloatField()
    text = fields.TextField(null=True)

    class Meta:
        table = "archive_record"
