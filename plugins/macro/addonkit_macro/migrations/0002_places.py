from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("macro", "0001_initial")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Place",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "poll",
                    fields.ForeignKeyField(
                        "macro.Poll",
                        source_field="poll_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="places",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("content_id", fields.CharField(max_length=64)),
            ],
            options={
                "table": "macro_place",
                "app": "macro",
                "unique_together": (("poll", "content_id"),),
                "indexes": [Index(fields=["tenant_id", "content_id"])],
                "pk_attr": "id",
                "table_description": "A page or blog post on which a reader has opened a poll; a copied page shows the same poll.",
            },
            bases=["TenantModel"],
        ),
    ]
