from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0009_unapproved_scopes")]

    initial = False

    operations = [
        ops.AddField(
            model_name="TenantRow",
            name="help_center_url",
            field=fields.TextField(null=True, unique=False),
        ),
    ]
