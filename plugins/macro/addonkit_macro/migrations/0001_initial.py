from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Poll",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("key", fields.CharField(max_length=32)),
                ("question", fields.CharField(max_length=300)),
                ("several", fields.BooleanField()),
                ("closes_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("author_id", fields.CharField(max_length=128)),
                ("draft", fields.CharField(max_length=32)),
                ("revision", fields.IntField(default=1)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={
                "table": "macro_poll",
                "app": "macro",
                "unique_together": (("tenant_id", "key"), ("tenant_id", "author_id", "draft")),
                "pk_attr": "id",
                "table_description": "A poll.",
            },
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Option",
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
                        related_name="options",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("key", fields.CharField(max_length=32)),
                ("text", fields.CharField(max_length=120)),
                ("position", fields.SmallIntField()),
            ],
            options={
                "table": "macro_option",
                "app": "macro",
                "unique_together": (("poll", "key"),),
                "pk_attr": "id",
                "table_description": "One option of a poll.",
            },
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Vote",
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
                        related_name="votes",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("account_id", fields.CharField(max_length=128)),
                ("cast_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={
                "table": "macro_vote",
                "app": "macro",
                "unique_together": (("poll", "account_id"),),
                "pk_attr": "id",
                "table_description": "The vote of one account in one poll.",
            },
            bases=["TenantModel"],
        ),
        ops.CreateModel(
            name="Choice",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "vote",
                    fields.ForeignKeyField(
                        "macro.Vote",
                        source_field="vote_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="choices",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "option",
                    fields.ForeignKeyField(
                        "macro.Option",
                        source_field="option_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="choices",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            options={
                "table": "macro_choice",
                "app": "macro",
                "unique_together": (("vote", "option"),),
                "pk_attr": "id",
                "table_description": "One chosen option of a vote; a poll of several choices has votes with several of them.",
            },
            bases=["TenantModel"],
        ),
    ]
