from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0003_jobs")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ScheduleRow",
            name="reached",
            field=fields.IntField(null=True),
        ),
    ]
