"""Models of the queue's tables, which have no tenant scope; the SQL statements are in ``jobs.sql``.

The first line of a model's docstring is stored in migrations: a change of it makes a new migration.
"""

from typing import cast

from tortoise import fields
from tortoise.models import Model


class JobRow(Model):
    """One thing to be done in the background. Times are Unix time in seconds."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    tenant_id = fields.IntField(db_index=True)
    plugin = fields.CharField(max_length=100)
    name = fields.CharField(max_length=100)
    kind = fields.CharField(max_length=12)
    payload = fields.BinaryField()
    version = fields.IntField(default=1)
    facts = fields.TextField(default="{}")
    dedupe = cast("fields.Field[str | None]", fields.CharField(max_length=255, null=True))
    order_key = cast("fields.Field[str | None]", fields.CharField(max_length=255, null=True))
    state = fields.CharField(max_length=8)
    due_at = fields.FloatField()
    starts = fields.IntField(default=0)
    failures = fields.IntField(default=0)
    deaths = fields.IntField(default=0)
    worker = cast("fields.Field[str | None]", fields.CharField(max_length=64, null=True))
    lease_until = fields.FloatField(null=True)
    error = cast("fields.Field[str | None]", fields.TextField(null=True))
    created_at = fields.FloatField()
    finished_at = fields.FloatField(null=True)
    request_id = cast("fields.Field[str | None]", fields.CharField(max_length=16, null=True))
    traceparent = cast("fields.Field[str | None]", fields.CharField(max_length=55, null=True))

    class Meta:
        """Its table; the migration creates the partial indexes."""

        app = "addonkit"
        table = "addonkit_job"


class DoneJobRow(Model):
    """One job that is done, apart from the table that jobs are claimed from. Its payload is null once it is dropped."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True, generated=False)
    tenant_id = fields.IntField(db_index=True)
    plugin = fields.CharField(max_length=100)
    name = fields.CharField(max_length=100)
    kind = fields.CharField(max_length=12)
    payload = cast("fields.Field[bytes | None]", fields.BinaryField(null=True))
    version = fields.IntField()
    facts = fields.TextField()
    dedupe = cast("fields.Field[str | None]", fields.CharField(max_length=255, null=True))
    order_key = cast("fields.Field[str | None]", fields.CharField(max_length=255, null=True))
    due_at = fields.FloatField()
    starts = fields.IntField()
    failures = fields.IntField()
    error = cast("fields.Field[str | None]", fields.TextField(null=True))
    created_at = fields.FloatField()
    finished_at = fields.FloatField()
    request_id = cast("fields.Field[str | None]", fields.CharField(max_length=16, null=True))
    traceparent = cast("fields.Field[str | None]", fields.CharField(max_length=55, null=True))

    class Meta:
        """Its table; the migration creates the partial indexes."""

        app = "addonkit"
        table = "addonkit_done_job"


class JobCountRow(Model):
    """Numbers of one plugin's jobs by state. Triggers of the job table maintain them.

    The row of no plugin has the time at which the rows of the job table were last counted, Unix time in seconds.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    plugin = fields.CharField(max_length=100, primary_key=True)
    waiting = fields.BigIntField(default=0, db_default=0)
    ready = fields.BigIntField(default=0, db_default=0)
    blocked = fields.BigIntField(default=0, db_default=0)
    held = fields.BigIntField(default=0, db_default=0)
    running = fields.BigIntField(default=0, db_default=0)
    dead = fields.BigIntField(default=0, db_default=0)
    failing = fields.BigIntField(default=0, db_default=0)
    counted_at = fields.FloatField(null=True)

    class Meta:
        """Its table; the migration creates the triggers, and on PostgreSQL the table of changes."""

        app = "addonkit"
        table = "addonkit_job_count"


class ScheduleRow(Model):
    """When something happens next. Times are Unix time in seconds.

    A run with a job for each tenant enqueues them in steps: ``reached`` is the number of the last tenant whose job is
    enqueued, None once the run is complete.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    plugin = fields.CharField(max_length=100)
    name = fields.CharField(max_length=100)
    rule = fields.CharField(max_length=100)
    next_at = fields.FloatField()
    last_at = fields.FloatField(null=True)
    reached = fields.IntField(null=True)

    class Meta:
        """Its table, with one row per plugin and name."""

        app = "addonkit"
        table = "addonkit_schedule"
        unique_together = (("plugin", "name"),)
