"""The model of a list's row."""

from addonkit import TenantModel
from tortoise import fields
from tortoise.indexes import Index


class Row(TenantModel):
    """One row of an issue's list."""

    id = fields.BigIntField(primary_key=True)
    issue_key = fields.CharField(max_length=64)
    text = fields.CharField(max_length=200)
    done = fields.BooleanField(default=False)
    place = fields.IntField()
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        """Table and index."""

        table = "bench_page_row"
        indexes = (Index(fields=("tenant_id", "issue_key")),)
