"""Install keys in the database, shared by all processes. They are public keys, and stored as they are."""

from addonkit.database.sql import execute, fetch
from addonkit.tenancy.record import StoredInstallKey

MAX_STORED = 256
"""The host uses a handful; beyond this number, those that were asked for longest ago are left out."""

LOAD = "SELECT key_id, pem, asked_at FROM addonkit_install_key ORDER BY asked_at DESC LIMIT ?"
SAVE = """
INSERT INTO addonkit_install_key (key_id, pem, asked_at) VALUES (?, ?, ?)
ON CONFLICT (key_id) DO UPDATE SET pem = excluded.pem, asked_at = excluded.asked_at
"""
DELETE = "DELETE FROM addonkit_install_key WHERE key_id = ?"


class InstallKeyStore:
    """Stores install keys in the table ``addonkit_install_key``."""

    async def load(self) -> list[StoredInstallKey]:
        """Give all stored keys.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        rows = await fetch(LOAD, [MAX_STORED])
        return [StoredInstallKey(row["key_id"], row["pem"], row["asked_at"]) for row in rows]

    async def save(self, key: StoredInstallKey) -> None:
        """Store a key, or replace the one with its id.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        await execute(SAVE, [key.key_id, key.pem, key.asked_at])

    async def delete(self, key_id: str) -> None:
        """Delete a key.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        await execute(DELETE, [key_id])
