"""A neutral key for each tenant, and a table of the names by which the host identifies it.

Existing tenants keep what they have: ``key`` becomes their client key, so that secrets that are encrypted for it still
decrypt, and their client key and installation id become identities. Of two tenants with one installation id, the one
that is installed and was changed last gets the identity.

**Rolling upgrade.** Processes of earlier releases do not know the new columns and go on writing ``addonkit_tenant``
while this release starts. The columns are nullable or have a default, so that their statements work, and triggers
follow them: ``key`` becomes the client key of a row that is inserted without one, and follows a client key that is
replaced (adoption, purge); the identity of the client key is written, retired or deleted with it. This release writes
identities itself, and finds the triggers' rows in place. A later release may drop the triggers once no process of an
earlier one can run.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# SQLite rebuilds the table to make a column nullable, and would give numbers of deleted tenants to new ones.
KEEP_NUMBERS = (
    "INSERT INTO sqlite_sequence (name, seq) "
    "SELECT 'new__addonkit_tenant', seq FROM sqlite_sequence WHERE name = 'addonkit_tenant'"
)
# A tenant whose data is being deleted has this in place of its client key.
NOT_PURGING = "client_key IS NOT NULL AND client_key <> '(purging ' || id || ')'"
FILL = (
    "UPDATE addonkit_tenant SET key = client_key",
    f"""INSERT INTO addonkit_identity (tenant_id, kind, value, environment, first_seen, last_seen)
        SELECT id, 'client_key', client_key, environment, created_at, updated_at FROM addonkit_tenant
        WHERE {NOT_PURGING} ORDER BY id""",  # noqa: S608 - a constant
    f"""INSERT INTO addonkit_identity (tenant_id, kind, value, environment, first_seen, last_seen)
        SELECT id, 'installation', product || ':' || installation_id, environment, created_at, updated_at
        FROM (SELECT *, row_number() OVER (
                PARTITION BY product, installation_id, environment
                ORDER BY CASE WHEN state = 'uninstalled' THEN 1 ELSE 0 END, updated_at DESC, id DESC) AS place
            FROM addonkit_tenant WHERE installation_id <> '' AND {NOT_PURGING}) AS found
        WHERE place = 1 AND length(installation_id) <= 255 ORDER BY id""",  # noqa: S608 - as above
)
NAMED = "NEW.client_key IS NOT NULL AND NEW.client_key <> '(purging ' || NEW.id || ')'"
WRITE = f"""INSERT INTO addonkit_identity (tenant_id, kind, value, environment, first_seen, last_seen)
    SELECT NEW.id, 'client_key', NEW.client_key, NEW.environment, NEW.updated_at, NEW.updated_at WHERE {NAMED}
    ON CONFLICT (kind, value, environment) DO UPDATE SET tenant_id = excluded.tenant_id,
        first_seen = CASE WHEN addonkit_identity.tenant_id = excluded.tenant_id THEN addonkit_identity.first_seen
            ELSE excluded.first_seen END,
        last_seen = excluded.last_seen, retired_at = NULL"""
RETIRE = """UPDATE addonkit_identity SET retired_at = NEW.updated_at
    WHERE kind = 'client_key' AND value = OLD.client_key AND environment = OLD.environment AND tenant_id = OLD.id
        AND retired_at IS NULL"""
DELETE = "DELETE FROM addonkit_identity WHERE tenant_id = OLD.id"
SQLITE = (
    f"""CREATE TRIGGER addonkit_tenant_inserted AFTER INSERT ON addonkit_tenant BEGIN
        UPDATE addonkit_tenant SET key = client_key WHERE id = NEW.id AND key IS NULL;
        {WRITE};
    END""",  # noqa: S608 - as above
    f"""CREATE TRIGGER addonkit_tenant_renamed AFTER UPDATE OF client_key ON addonkit_tenant
        WHEN NEW.client_key IS NOT OLD.client_key BEGIN
        UPDATE addonkit_tenant SET key = NEW.client_key
            WHERE id = NEW.id AND NEW.client_key IS NOT NULL AND key IS OLD.key AND OLD.key IS OLD.client_key;
        {RETIRE};
        {WRITE};
    END""",  # noqa: S608 - as above
    f"CREATE TRIGGER addonkit_tenant_deleted AFTER DELETE ON addonkit_tenant BEGIN {DELETE}; END",
)
POSTGRESQL = (
    """CREATE FUNCTION addonkit_tenant_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.key := coalesce(NEW.key, NEW.client_key);
        ELSIF NEW.client_key IS NOT NULL AND NEW.key IS NOT DISTINCT FROM OLD.key
            AND OLD.key IS NOT DISTINCT FROM OLD.client_key THEN
            NEW.key := NEW.client_key;
        END IF;
        RETURN NEW;
    END $$""",
    f"""CREATE FUNCTION addonkit_tenant_identity() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' THEN
            {DELETE};
            RETURN NULL;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            IF NEW.client_key IS NOT DISTINCT FROM OLD.client_key THEN
                RETURN NULL;
            END IF;
            {RETIRE};
        END IF;
        {WRITE};
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER addonkit_tenant_key BEFORE INSERT OR UPDATE OF client_key ON addonkit_tenant
        FOR EACH ROW EXECUTE FUNCTION addonkit_tenant_key()""",
    """CREATE TRIGGER addonkit_tenant_identity AFTER INSERT OR DELETE OR UPDATE OF client_key ON addonkit_tenant
        FOR EACH ROW EXECUTE FUNCTION addonkit_tenant_identity()""",
)


async def keep_numbers(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    if editor.client.capabilities.dialect == "sqlite":
        await editor.client.execute_query(KEEP_NUMBERS)


async def fill(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    for statement in FILL:
        await editor.client.execute_query(statement)


async def create_triggers(apps, editor):  # noqa: ARG001 - as Tortoise calls it
    for statement in SQLITE if editor.client.capabilities.dialect == "sqlite" else POSTGRESQL:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("addonkit", "0004_schedules_in_steps")]

    initial = False

    operations = [
        ops.CreateModel(
            name="TenantIdentity",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(db_index=True)),
                ("kind", fields.CharField(max_length=16)),
                ("value", fields.CharField(max_length=300)),
                ("environment", fields.CharField(max_length=64)),
                ("first_seen", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_seen", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("retired_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "addonkit_identity",
                "app": "addonkit",
                "unique_together": (("kind", "value", "environment"),),
                "pk_attr": "id",
                "table_description": "A name by which the host identifies a tenant.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="TenantRow", name="key", field=fields.CharField(null=True, unique=True, max_length=300)
        ),
        ops.AddField(model_name="TenantRow", name="cloud_id", field=fields.CharField(null=True, max_length=64)),
        ops.AddField(
            model_name="TenantRow",
            name="environment",
            field=fields.CharField(default="production", db_default="production", max_length=64),
        ),
        ops.RunPython(keep_numbers),
        ops.AlterField(
            model_name="TenantRow", name="client_key", field=fields.CharField(null=True, unique=True, max_length=255)
        ),
        ops.RunPython(fill),
        ops.RunPython(create_triggers),
    ]
