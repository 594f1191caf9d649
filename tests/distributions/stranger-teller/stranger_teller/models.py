"""Models of the plugin."""

from addonkit import TenantModel
from tortoise import fields


class Effect(TenantModel):
    id = fields.BigIntField(primary_key=True)
    identifier = fields.CharField(max_length=64)

    class Meta:
        table = "stranger_teller_effect"
        unique_together = (("tenant_id", "identifier"),)
