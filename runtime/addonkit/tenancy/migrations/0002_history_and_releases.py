from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0001_initial")]

    initial = False

    operations = [
        ops.CreateModel(
            name="AppliedRelease",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("app_name", fields.CharField(max_length=100)),
                ("name", fields.CharField(max_length=255)),
                ("distribution", fields.CharField(max_length=200)),
                ("version", fields.CharField(max_length=100)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={
                "table": "addonkit_applied_release",
                "app": "addonkit",
                "unique_together": (("app_name", "name"),),
                "pk_attr": "id",
                "table_description": "Which release brought a migration that this database has.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="TenantHistory",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("what", fields.CharField(max_length=32)),
                ("client_key", fields.CharField(db_index=True, max_length=255)),
                ("base_url", fields.TextField(unique=False)),
                ("detail", fields.TextField(default="", unique=False)),
            ],
            options={
                "table": "addonkit_tenant_history",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "One thing that happened to a site: what it was called before is found here.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="TenantRow",
            name="note",
            field=fields.TextField(null=True, unique=False),
        ),
    ]
