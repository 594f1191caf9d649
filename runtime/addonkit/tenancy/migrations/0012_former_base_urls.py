from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0011_gone_sites")]

    initial = False

    operations = [
        ops.AddField(
            model_name="TenantRow",
            name="former_base_url",
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name="TenantRow",
            name="renamed_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
