"""The model of a checklist item. The rules are in ``checklist.py``."""

from datetime import datetime
from typing import NamedTuple

from addonkit import TenantModel
from tortoise import fields
from tortoise.fields import Field
from tortoise.indexes import Index

TEXT_LENGTH = 500


class Item(TenantModel):
    """One item of an issue's checklist.

    Attributes:
        issue_id: The issue's id, which stays the same when the issue's key changes.
        project_id: Id of the issue's project; empty until it is known.
        checked_at: When Jira last said whether the issue exists, UTC; None if it was never asked.
        missing_since: Since when Jira has not known the issue, UTC; None if it does.
        rank: Order within the issue: lower comes first; items with equal ranks are ordered by ``id``.
        version: Incremented by every change of a user; a change must name the current version.
        created_by: Account id of the user who added the item; never shown.
        done_by: Account id of the user who marked it as done; None while it is open.
        edited_by: Account id of the user who last changed the text; None if it was never changed.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    issue_id = fields.CharField(max_length=64)
    project_id = fields.CharField(max_length=64, default="", db_default="")
    checked_at = fields.DatetimeField(null=True)
    missing_since = fields.DatetimeField(null=True)
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
        """Table and indexes."""

        table = "issue_panel_item"
        indexes = (Index(fields=("tenant_id", "issue_id")), Index(fields=("tenant_id", "project_id")))


class ShownItem(NamedTuple):
    """What a page shows of an item, with what is known about its issue; a row that cannot be changed."""

    id: int
    project_id: str
    missing_since: datetime | None
    text: str
    done: bool
    rank: int
    version: int
    created_by: str
    created_at: datetime
    done_by: str | None
    done_at: datetime | None
    edited_by: str | None
    edited_at: datetime | None
