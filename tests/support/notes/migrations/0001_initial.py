from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Note",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("title", fields.CharField(max_length=50)),
                ("size", fields.IntField(default=1)),
                ("open", fields.BooleanField(default=True)),
            ],
            options={"table": "notes_note", "app": "notes", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Link",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "note",
                    fields.ForeignKeyField(
                        "notes.Note",
                        source_field="note_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="links",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("text", fields.CharField(default="", max_length=50)),
            ],
            options={"table": "notes_link", "app": "notes", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Pin",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "note",
                    fields.OneToOneField(
                        "notes.Note",
                        source_field="note_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="pin",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            options={"table": "notes_pin", "app": "notes", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Slug",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("slug", fields.CharField(max_length=50)),
                ("value", fields.CharField(max_length=50)),
            ],
            options={
                "table": "notes_slug",
                "app": "notes",
                "unique_together": (("tenant_id", "slug"),),
                "pk_attr": "id",
            },
            bases=["TenantModel"],
        ),
    ]
