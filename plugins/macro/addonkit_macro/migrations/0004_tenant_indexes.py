from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("macro", "0003_spaces")]

    initial = False

    operations = [
        ops.AddIndex(
            model_name="Choice",
            index=Index(fields=["tenant_id", "vote_id"]),
        ),
        ops.AddIndex(
            model_name="Option",
            index=Index(fields=["tenant_id", "poll_id"]),
        ),
        ops.AddIndex(
            model_name="Place",
            index=Index(fields=["tenant_id", "poll_id"]),
        ),
        ops.AddIndex(
            model_name="Vote",
            index=Index(fields=["tenant_id", "poll_id"]),
        ),
    ]
