"""Models of the plugin."""

from addonkit import TenantModel
from tortoise import fields


class Item(TenantModel):
    id = fields.BigIntField(primary_key=True)
    text = fields.CharField(max_length=100)

    class Meta:
        table = "stranger_notes_item"
