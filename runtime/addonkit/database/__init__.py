"""Access to the database: location, connection, migrations, locks and SQL statements, independent of tenants."""

from addonkit.pinned import require_version

require_version("tortoise-orm", "1.1.9", because="private members of its connections and migrations")

CONNECTION = "default"
"""The connection name under which models and statements use the current add-on's database."""
