"""Models of the plugin."""

from addonkit.tenant_data.manager import TenantManager
from addonkit.tenant_data.model import TenantModel
from tortoise import fields


class OpenNotes(TenantManager):
    def get_queryset(self):
        return super().get_queryset().filter(open=True)


class Note(TenantModel):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
    size = fields.IntField(default=1)
    open = fields.BooleanField(default=True)
    links: fields.ReverseRelation["Link"]

    opened = OpenNotes()

    class Meta:
        table = "notes_note"


class Link(TenantModel):
    id = fields.IntField(primary_key=True)
    note = fields.ForeignKeyField("notes.Note", related_name="links", null=True)
    text = fields.CharField(50, default="")

    class Meta:
        table = "notes_link"


class Pin(TenantModel):
    id = fields.IntField(primary_key=True)
    note = fields.OneToOneField("notes.Note", related_name="pin")

    class Meta:
        table = "notes_pin"


class Slug(TenantModel):
    id = fields.IntField(primary_key=True)
    slug = fields.CharField(50)
    value = fields.CharField(50)

    class Meta:
        table = "notes_slug"
        unique_together = (("tenant_id", "slug"),)
