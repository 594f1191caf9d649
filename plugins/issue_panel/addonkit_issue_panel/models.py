"""What is stored: one row for each item of an issue's checklist. The rules on it are in ``checklist.py``."""

from addonkit import TenantModel
from tortoise import fields
from tortoise.fields import Field
from tortoise.indexes import Index

TEXT_LENGTH = 500


class Item(TenantModel):
    """One thing to do on one issue.

    Attributes:
        issue_id: The host's number for the issue, which stays when the issue's key changes.
        rank: Its place among the issue's items: lower comes first, equal ranks stand by ``id``.
        version: Grows with every change that somebody made to this item; what a writer saw is compared with it.
        created_by: Account id of who added it, at most 128 characters; never shown.
        done_by: Account id of who ticked it; None while it is open.
        edited_by: Account id of who last changed its text; None if nobody has.
    """

    id = fields.BigIntField(primary_key=True)
    issue_id = fields.CharField(max_length=64)
    text = fields.CharField(max_length=TEXT_LENGTH)
    done = fields.BooleanField(default=False)
    rank: Field[int] = fields.BigIntField()
    version = fields.IntField(default=1)
    created_by = fields.CharField(max_length=128)
    created_at = fields.DatetimeField(auto_now_add=True)
    done_by = fields.CharField(max_length=128, null=True)
    done_at = fields.DatetimeField(null=True)
    edited_by = fields.CharField(max_length=128, null=True)
    edited_at = fields.DatetimeField(null=True)

    class Meta:
        """Where the rows live."""

        table = "issue_panel_item"
        indexes = (Index(fields=("tenant_id", "issue_id")),)
