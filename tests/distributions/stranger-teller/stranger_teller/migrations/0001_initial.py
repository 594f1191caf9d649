from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Effect",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("identifier", fields.CharField(max_length=64)),
            ],
            options={
                "table": "stranger_teller_effect",
                "app": "stranger_teller",
                "unique_together": (("tenant_id", "identifier"),),
                "pk_attr": "id",
            },
            bases=["TenantModel"],
        ),
    ]
