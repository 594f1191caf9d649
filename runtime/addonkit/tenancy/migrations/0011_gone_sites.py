from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0010_help_centers")]

    initial = False

    operations = [
        ops.CreateModel(
            name="PresenceRow",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(unique=True)),
                ("next_at", fields.FloatField(db_index=True)),
                ("asked_at", fields.FloatField(null=True)),
                ("answer", fields.CharField(default="", db_default="", max_length=40)),
                ("is_failing", fields.BooleanField(default=False, db_default=False)),
                ("failed_on", fields.IntField(null=True)),
                ("failed_days", fields.IntField(default=0, db_default=0)),
                ("failed_since", fields.FloatField(null=True)),
                ("failed_at", fields.FloatField(null=True)),
                ("failed_answer", fields.CharField(default="", db_default="", max_length=40)),
            ],
            options={
                "table": "addonkit_presence",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "What the daily calls of one site were answered: the evidence that it knows the add-on, or is gone.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="TenantRow",
            name="disabled_iat",
            field=fields.BigIntField(null=True),
        ),
        ops.AddField(
            model_name="TenantRow",
            name="gone_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
