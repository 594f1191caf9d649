from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="LifecycleNotice",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("tenant_id", fields.IntField(db_index=True)),
                ("plugin", fields.CharField(max_length=100)),
                ("event", fields.CharField(max_length=32)),
                ("is_first", fields.BooleanField(default=False)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("attempts", fields.IntField(default=0)),
                ("due_at", fields.FloatField(db_index=True)),
                ("error", fields.TextField(null=True, unique=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={
                "table": "addonkit_lifecycle_notice",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "What one plugin is still to be told of one site.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="TenantRow",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("client_key", fields.CharField(unique=True, max_length=255)),
                ("product", fields.CharField(max_length=32)),
                ("base_url", fields.TextField(unique=False)),
                ("display_url", fields.TextField(unique=False)),
                ("oauth_client_id", fields.TextField(null=True, unique=False)),
                ("installation_id", fields.TextField(null=True, unique=False)),
                ("shared_secret", fields.TextField(null=True, unique=False)),
                ("former_secret", fields.TextField(null=True, unique=False)),
                ("former_until", fields.FloatField(null=True)),
                ("state", fields.CharField(max_length=16)),
                ("installed_iat", fields.BigIntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
                ("uninstalled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "addonkit_tenant",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "One site, kept after it uninstalled so that its next install finds its data.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="UsedToken",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("digest", fields.CharField(unique=True, max_length=64)),
                ("expires_at", fields.BigIntField(db_index=True)),
            ],
            options={
                "table": "addonkit_used_token",
                "app": "addonkit",
                "pk_attr": "id",
                "table_description": "A lifecycle token that was used, until nobody would take it any more.",
            },
            bases=["Model"],
        ),
    ]
