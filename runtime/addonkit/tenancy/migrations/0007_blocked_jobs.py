from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0006_install_keys")]

    initial = False

    operations = [
        ops.RunSQL("CREATE INDEX addonkit_job_blocked ON addonkit_job (id) WHERE state = 'blocked'"),
    ]
