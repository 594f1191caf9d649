from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("archive", "0001_initial")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Paper",
            name="newest",
            field=fields.ForeignKeyField(
                "archive.Version",
                source_field="newest_id",
                null=True,
                db_constraint=True,
                to_field="id",
                related_name="newest_of",
                on_delete=OnDelete.RESTRICT,
            ),
        ),
    ]
