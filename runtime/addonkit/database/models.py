"""The table that records which release applied each migration."""

from tortoise import fields
from tortoise.models import Model


class AppliedRelease(Model):
    """Which release brought a migration that this database has."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    app_name = fields.CharField(max_length=100)
    name = fields.CharField(max_length=255)
    distribution = fields.CharField(max_length=200)
    version = fields.CharField(max_length=100)
    at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        """Where it is stored."""

        app = "addonkit"
        table = "addonkit_applied_release"
        unique_together = (("app_name", "name"),)
