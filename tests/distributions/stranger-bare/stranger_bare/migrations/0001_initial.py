from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Visit",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("text", fields.CharField(max_length=100)),
            ],
            options={"table": "stranger_bare_visit", "app": "stranger_bare", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
