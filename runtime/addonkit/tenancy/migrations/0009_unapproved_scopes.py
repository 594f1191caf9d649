from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0008_done_jobs")]

    initial = False

    operations = [
        ops.AddField(
            model_name="TenantRow",
            name="unapproved_at",
            field=fields.BigIntField(null=True),
        ),
        ops.AddField(
            model_name="TenantRow",
            name="unapproved_scopes",
            field=fields.CharField(null=True, max_length=255),
        ),
    ]
