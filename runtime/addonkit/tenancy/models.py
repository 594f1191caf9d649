"""The tables of tenants. They have no tenant scope and no relations, so plugins cannot reach them through models.

The store writes them. The first line of a model's docstring is stored in migrations: a change needs a new one.
"""

from collections.abc import Mapping
from typing import Any, cast

from tortoise import fields
from tortoise.models import Model

from addonkit.context import Product, Tenant, TenantState

PRODUCTION = "production"
"""The environment of all installations through Connect."""


def retired_key(tenant_id: int) -> str:
    """Return the placeholder that replaces the key and the client key of a tenant during its purge."""
    return f"(purging {tenant_id})"


def tenant_key(key: str | None, client_key: str | None) -> str:
    """Return the key of a stored tenant; the client key if the row was stored without a key."""
    return key or client_key or ""


def tenant_state(state: str, gone_at: object) -> TenantState:
    """Return the state of a stored tenant; a gone one has the state of an uninstalled one, and a time."""
    return TenantState.GONE if state == TenantState.UNINSTALLED and gone_at is not None else TenantState(state)


TENANT_COLUMNS = "id, key, client_key, product, base_url, display_url, state, gone_at, help_center_url"
"""The columns that ``tenant_of`` needs, for statements."""


def tenant_of(row: Mapping[str, Any], number: int) -> Tenant:
    """Return the tenant with a number, of a row that a statement has read, as ``as_tenant`` does."""
    return Tenant(
        id=number,
        key=tenant_key(row["key"], row["client_key"]),
        product=row["product"],
        base_url=row["base_url"],
        display_url=row["display_url"],
        state=tenant_state(row["state"], row["gone_at"]),
        connect_key=row["client_key"],
        help_center_url=row["help_center_url"],
    )


class TenantRow(Model):
    """One site, kept after it uninstalled so that its next install finds its data."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    client_key = cast("fields.Field[str | None]", fields.CharField(max_length=255, unique=True, null=True))
    product = fields.CharField(max_length=32)
    base_url = fields.TextField()
    display_url = fields.TextField()
    oauth_client_id = cast("fields.Field[str | None]", fields.TextField(null=True))
    installation_id = cast("fields.Field[str | None]", fields.TextField(null=True))
    shared_secret = cast("fields.Field[str | None]", fields.TextField(null=True))
    former_secret = cast("fields.Field[str | None]", fields.TextField(null=True))
    former_until = fields.FloatField(null=True)
    state = fields.CharField(max_length=16)
    installed_iat = fields.BigIntField()
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)
    uninstalled_at = fields.DatetimeField(null=True)
    gone_at = fields.DatetimeField(null=True)
    disabled_iat = fields.BigIntField(null=True)
    note = cast("fields.Field[str | None]", fields.TextField(null=True))
    key = cast("fields.Field[str | None]", fields.CharField(max_length=300, unique=True, null=True))
    cloud_id = cast("fields.Field[str | None]", fields.CharField(max_length=64, null=True))
    environment = fields.CharField(max_length=64, default=PRODUCTION, db_default=PRODUCTION)
    unapproved_scopes = cast("fields.Field[str | None]", fields.CharField(max_length=255, null=True))
    unapproved_at = cast("fields.Field[int | None]", fields.BigIntField(null=True))
    help_center_url = cast("fields.Field[str | None]", fields.TextField(null=True))
    former_base_url = cast("fields.Field[str | None]", fields.TextField(null=True))
    renamed_at = fields.DatetimeField(null=True)

    class Meta:
        """Where it is stored."""

        app = "addonkit"
        table = "addonkit_tenant"

    @property
    def tenant_key(self) -> str:
        """The key; the client key if the row was stored without a key."""
        return tenant_key(self.key, self.client_key)

    @property
    def tenant_state(self) -> TenantState:
        """The state. A gone tenant is stored as an uninstalled one, which processes of earlier releases understand."""
        return tenant_state(self.state, self.gone_at)

    @property
    def is_purging(self) -> bool:
        """Whether its data is being deleted."""
        return self.tenant_key == retired_key(self.id)

    def as_tenant(self) -> Tenant:
        """Return the tenant without secrets, as plugins see it."""
        return Tenant(
            id=self.id,
            key=self.tenant_key,
            product=cast("Product", self.product),
            base_url=self.base_url,
            display_url=self.display_url,
            state=self.tenant_state,
            connect_key=self.client_key,
            help_center_url=self.help_center_url,
        )


class TenantIdentity(Model):
    """A name by which the host identifies a tenant.

    A retired identity no longer names its tenant and is kept for history; the next tenant that proves the name takes
    over the row.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    tenant_id = fields.IntField(db_index=True)
    kind = fields.CharField(max_length=16)
    value = fields.CharField(max_length=300)
    environment = fields.CharField(max_length=64)
    first_seen = fields.DatetimeField()
    last_seen = fields.DatetimeField()
    retired_at = fields.DatetimeField(null=True)

    class Meta:
        """The table."""

        app = "addonkit"
        table = "addonkit_identity"
        unique_together = (("kind", "value", "environment"),)


class PresenceRow(Model):
    """What the daily calls of one site were answered: the evidence that it knows the add-on, or is gone."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    tenant_id = fields.IntField(unique=True)
    next_at = fields.FloatField(db_index=True)
    asked_at = fields.FloatField(null=True)
    answer = fields.CharField(max_length=40, default="", db_default="")
    is_failing = fields.BooleanField(default=False, db_default=False)
    failed_on = fields.IntField(null=True)
    failed_days = fields.IntField(default=0, db_default=0)
    failed_since = fields.FloatField(null=True)
    failed_at = fields.FloatField(null=True)
    failed_answer = fields.CharField(max_length=40, default="", db_default="")

    class Meta:
        """The table."""

        app = "addonkit"
        table = "addonkit_presence"


class UsedToken(Model):
    """A lifecycle token that was used, until nobody would take it any more."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    digest = fields.CharField(max_length=64, unique=True)
    expires_at = fields.BigIntField(db_index=True)

    class Meta:
        """Where it is stored."""

        app = "addonkit"
        table = "addonkit_used_token"


class TenantHistory(Model):
    """One thing that happened to a site: what it was called before is found here."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    tenant_id = fields.IntField(db_index=True)
    at = fields.DatetimeField()
    what = fields.CharField(max_length=32)
    client_key = fields.CharField(max_length=255, db_index=True)
    base_url = fields.TextField()
    detail = fields.TextField(default="")

    class Meta:
        """Where it is stored."""

        app = "addonkit"
        table = "addonkit_tenant_history"


class InstallKeyRow(Model):
    """An install key of the host with which a lifecycle request was verified."""

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.IntField(primary_key=True)
    key_id = fields.CharField(max_length=256, unique=True)
    pem = fields.TextField()
    asked_at = fields.BigIntField()

    class Meta:
        """Where it is stored."""

        app = "addonkit"
        table = "addonkit_install_key"
