"""Models of the plugin."""

from addonkit import TenantModel
from tortoise import fields


class Note(TenantModel):
    id = fields.BigIntField(primary_key=True)
    issue_id = fields.CharField(max_length=64, db_index=True)
    text = fields.CharField(max_length=200)

    class Meta:
        table = "stranger_mixed_note"


class Effect(TenantModel):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=100)
    issue_id = fields.CharField(max_length=64)

    class Meta:
        table = "stranger_mixed_effect"
        unique_together = (("tenant_id", "name"),)


class Run(TenantModel):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=100)

    class Meta:
        table = "stranger_mixed_run"
