"""Numbers of jobs by plugin and state, which triggers of the job table maintain.

On PostgreSQL, each statement adds one row per plugin to ``addonkit_job_delta``, so that no transaction waits for
another; a process adds them to ``addonkit_job_count`` from time to time. On SQLite, where one transaction writes at a
time, each row updates ``addonkit_job_count``. ``docs/decisions/job-counts.md`` explains the choice.

**Rolling upgrade.** The triggers also count what processes of earlier releases do. The first process that runs jobs
counts the rows that were there before; until then, there are no numbers.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

STATES = ("waiting", "ready", "blocked", "held", "running", "dead")
NAMES = ", ".join((*STATES, "failing"))
IS_FAILING = "({row}failures > 0 AND {row}state NOT IN ('done', 'dead'))"

# The schema is named, because pg_restore runs without a search path.
DELTA_POSTGRES = """
CREATE TABLE {schema}.addonkit_job_delta (plugin varchar(100) NOT NULL, {columns})
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000)
"""
FUNCTION_POSTGRES = """
CREATE FUNCTION {schema}.addonkit_count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.addonkit_job_delta (plugin, {names})
        SELECT plugin, {plus} FROM added WHERE state <> 'done' GROUP BY plugin;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO {schema}.addonkit_job_delta (plugin, {names})
        SELECT * FROM (
            SELECT plugin, {net} FROM (
                SELECT plugin, state, failures, 1 AS n FROM added
                UNION ALL SELECT plugin, state, failures, -1 FROM removed
            ) AS rows_of_both GROUP BY plugin
        ) AS changed WHERE ({names}) IS DISTINCT FROM ({zeros});
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.addonkit_job_delta (plugin, {names})
        SELECT plugin, {minus} FROM removed WHERE state <> 'done' GROUP BY plugin;
    ELSE
        DELETE FROM {schema}.addonkit_job_delta;
        DELETE FROM {schema}.addonkit_job_count WHERE plugin <> '';
    END IF;
    RETURN NULL;
END $$
"""
TRIGGERS_POSTGRES = {
    "inserted": "AFTER INSERT ON {schema}.addonkit_job REFERENCING NEW TABLE AS added",
    "updated": "AFTER UPDATE ON {schema}.addonkit_job REFERENCING NEW TABLE AS added OLD TABLE AS removed",
    "deleted": "AFTER DELETE ON {schema}.addonkit_job REFERENCING OLD TABLE AS removed",
    "truncated": "AFTER TRUNCATE ON {schema}.addonkit_job",
}
TRIGGERS_SQLITE = {
    "inserted": """AFTER INSERT ON addonkit_job WHEN NEW.state <> 'done' BEGIN
        INSERT INTO addonkit_job_count (plugin) VALUES (NEW.plugin) ON CONFLICT DO NOTHING;
        UPDATE addonkit_job_count SET {plus_new} WHERE plugin = NEW.plugin; END""",
    "updated": """AFTER UPDATE OF state, failures ON addonkit_job
        WHEN OLD.state <> NEW.state OR OLD.failures <> NEW.failures BEGIN
        INSERT INTO addonkit_job_count (plugin) VALUES (OLD.plugin) ON CONFLICT DO NOTHING;
        UPDATE addonkit_job_count SET {plus_new_minus_old} WHERE plugin = OLD.plugin; END""",
    "renamed": """AFTER UPDATE OF plugin ON addonkit_job WHEN OLD.plugin <> NEW.plugin AND NEW.state <> 'done' BEGIN
        INSERT INTO addonkit_job_count (plugin) VALUES (OLD.plugin), (NEW.plugin) ON CONFLICT DO NOTHING;
        UPDATE addonkit_job_count SET {minus_new} WHERE plugin = OLD.plugin;
        UPDATE addonkit_job_count SET {plus_new} WHERE plugin = NEW.plugin; END""",
    "deleted": """AFTER DELETE ON addonkit_job WHEN OLD.state <> 'done' BEGIN
        INSERT INTO addonkit_job_count (plugin) VALUES (OLD.plugin) ON CONFLICT DO NOTHING;
        UPDATE addonkit_job_count SET {minus_old} WHERE plugin = OLD.plugin; END""",
}


def summed(number):
    """SQL for the columns of a delta: the sums of ``number`` over the rows in each state."""
    parts = [f"sum(CASE WHEN state = '{state}' THEN {number} ELSE 0 END) AS {state}" for state in STATES]
    return ", ".join([*parts, f"sum(CASE WHEN {IS_FAILING.format(row='')} THEN {number} ELSE 0 END) AS failing"])


def assignments(*terms):
    """SQL that adds the row NEW to the numbers, or subtracts the row OLD, by signed row names such as ``+ NEW.``."""
    tests = {state: "({row}state = '" + state + "')" for state in STATES} | {"failing": IS_FAILING}
    return ", ".join(
        f"{name} = {name} {' '.join(f'{sign} {test.format(row=row)}' for sign, row in terms)}"
        for name, test in tests.items()
    )


async def count_on_postgres(client):
    [row] = await client.execute_query_dict("SELECT quote_ident(current_schema()) AS schema")
    words = {
        "schema": row["schema"],
        "names": NAMES,
        "columns": ", ".join(f"{name} integer NOT NULL" for name in NAMES.split(", ")),
        "plus": summed(1),
        "minus": summed(-1),
        "net": summed("n"),
        "zeros": ", ".join("0" for _ in NAMES.split(", ")),
    }
    for statement in (DELTA_POSTGRES, FUNCTION_POSTGRES):
        await client.execute_query(statement.format(**words))
    for name, event in TRIGGERS_POSTGRES.items():
        await client.execute_query(
            f"CREATE TRIGGER addonkit_job_{name} {event.format(**words)} FOR EACH STATEMENT "
            f"EXECUTE FUNCTION {row['schema']}.addonkit_count_jobs()"
        )


async def count_on_sqlite(client):
    words = {
        "plus_new": assignments(("+", "NEW.")),
        "minus_new": assignments(("-", "NEW.")),
        "minus_old": assignments(("-", "OLD.")),
        "plus_new_minus_old": assignments(("+", "NEW."), ("-", "OLD.")),
    }
    for name, event in TRIGGERS_SQLITE.items():
        await client.execute_query(f"CREATE TRIGGER addonkit_job_{name} {event.format(**words)}")


async def count_jobs(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    is_postgres = editor.client.capabilities.dialect == "postgres"
    await (count_on_postgres if is_postgres else count_on_sqlite)(editor.client)


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0012_former_base_urls")]

    initial = False

    operations = [
        ops.CreateModel(
            name="JobCountRow",
            fields=[
                ("plugin", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=100)),
                ("waiting", fields.BigIntField(default=0, db_default=0)),
                ("ready", fields.BigIntField(default=0, db_default=0)),
                ("blocked", fields.BigIntField(default=0, db_default=0)),
                ("held", fields.BigIntField(default=0, db_default=0)),
                ("running", fields.BigIntField(default=0, db_default=0)),
                ("dead", fields.BigIntField(default=0, db_default=0)),
                ("failing", fields.BigIntField(default=0, db_default=0)),
                ("counted_at", fields.FloatField(null=True)),
            ],
            options={
                "table": "addonkit_job_count",
                "app": "addonkit",
                "pk_attr": "plugin",
                "table_description": "Numbers of one plugin's jobs by state. Triggers of the job table maintain them.",
            },
            bases=["Model"],
        ),
        ops.RunPython(count_jobs),
    ]
