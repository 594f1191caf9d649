from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0005_identities")]

    initial = False

    operations = [
        ops.CreateModel(
            name="InstallKeyRow",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("key_id", fields.CharField(unique=True, max_length=256)),
                ("pem", fields.TextField(unique=False)),
                ("asked_at", fields.BigIntField()),
            ],
            options={
                "table": "addonkit_install_key",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "An install key of the host with which a lifecycle request was verified.",
            },
            bases=["Model"],
        ),
    ]
