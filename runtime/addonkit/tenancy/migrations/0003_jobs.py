import orjson
from tortoise import fields, migrations
from tortoise.migrations import operations as ops

UNFINISHED = "('waiting', 'ready', 'blocked', 'held', 'running')"
# Each lies on a part of the rows: a queue is looked at by its ends, however much is behind them.
INDEXES = {
    "addonkit_job_ready": "(tenant_id, due_at, id) WHERE state = 'ready' AND deaths = 0",
    "addonkit_job_suspect": "(id) WHERE state = 'ready' AND deaths > 0",
    "addonkit_job_waiting": "(due_at) WHERE state = 'waiting'",
    "addonkit_job_running": "(tenant_id, lease_until) WHERE state = 'running'",
    "addonkit_job_held": "(plugin) WHERE state = 'held'",
    "addonkit_job_ordered": f"(tenant_id, plugin, order_key, id) WHERE order_key IS NOT NULL AND state IN {UNFINISHED}",
    "addonkit_job_done": "(finished_at) WHERE state = 'done'",
    "addonkit_job_dead": "(id) WHERE state = 'dead'",
}
UNIQUE = (
    "CREATE UNIQUE INDEX addonkit_job_once ON addonkit_job (tenant_id, plugin, name, dedupe) WHERE dedupe IS NOT NULL"
)
INSERT = (
    "INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, facts, order_key, state, due_at, failures, "
    "created_at, version, starts, deaths)"
)
NOTICES = (
    "SELECT tenant_id, plugin, event, is_first, at, due_at, attempts, error FROM addonkit_lifecycle_notice ORDER BY id"
)


async def notices_become_jobs(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    client = editor.client
    marks = ", ".join(f"${n}" if client.capabilities.dialect == "postgres" else "?" for n in range(1, 12))
    ordered = set()
    for row in await client.execute_query_dict(NOTICES):
        site = (row["tenant_id"], row["plugin"])
        facts = orjson.dumps({"first": bool(row["is_first"]), "at": str(row["at"])}).decode()
        values = [*site, f"addon_{row['event']}", "lifecycle", b"", facts, "lifecycle"]
        values += ["blocked" if site in ordered else "waiting", row["due_at"], row["attempts"], row["due_at"]]
        await client.execute_query(
            f"{INSERT} VALUES ({marks}, 1, 0, 0)",
            values,
        )
        ordered.add(site)


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0002_history_and_releases")]

    initial = False

    operations = [
        ops.CreateModel(
            name="JobRow",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(db_index=True)),
                ("plugin", fields.CharField(max_length=100)),
                ("name", fields.CharField(max_length=100)),
                ("kind", fields.CharField(max_length=12)),
                ("payload", fields.BinaryField()),
                ("version", fields.IntField(default=1)),
                ("facts", fields.TextField(default="{}", unique=False)),
                ("dedupe", fields.CharField(null=True, max_length=255)),
                ("order_key", fields.CharField(null=True, max_length=255)),
                ("state", fields.CharField(max_length=8)),
                ("due_at", fields.FloatField()),
                ("starts", fields.IntField(default=0)),
                ("failures", fields.IntField(default=0)),
                ("deaths", fields.IntField(default=0)),
                ("worker", fields.CharField(null=True, max_length=64)),
                ("lease_until", fields.FloatField(null=True)),
                ("error", fields.TextField(null=True, unique=False)),
                ("created_at", fields.FloatField()),
                ("finished_at", fields.FloatField(null=True)),
            ],
            options={
                "table": "addonkit_job",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "One thing to be done in the background. Times are Unix time in seconds.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ScheduleRow",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("plugin", fields.CharField(max_length=100)),
                ("name", fields.CharField(max_length=100)),
                ("rule", fields.CharField(max_length=100)),
                ("next_at", fields.FloatField()),
                ("last_at", fields.FloatField(null=True)),
            ],
            options={
                "table": "addonkit_schedule",
                "app": "addonkit",
                "unique_together": (("plugin", "name"),),
                "pk_attr": "id",
                "table_description": "When something happens next. Times are Unix time in seconds.",
            },
            bases=["Model"],
        ),
        *[ops.RunSQL(f"CREATE INDEX {name} ON addonkit_job {part}") for name, part in INDEXES.items()],
        ops.RunSQL(UNIQUE),
        ops.RunPython(notices_become_jobs),
        ops.DeleteModel(name="LifecycleNotice"),
    ]
