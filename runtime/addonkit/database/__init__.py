"""The database as such: where it is, how it is opened, migrated, locked and asked. It knows nothing of tenants."""

from addonkit.pinned import require_version

require_version("tortoise-orm", "1.1.9", because="private members of its connections and migrations")

CONNECTION = "default"
"""The name by which models and statements reach the connection of the current add-on's database."""
