"""Checks of the database: it responds and is migrated, row-level security works, and the keys decrypt its secrets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from addonkit.app.deployment import KEY_FILE
from addonkit.app.migrate import applicable_steps
from addonkit.check.context import CheckContext, Result, ok, warn, wrong
from addonkit.check.http_probe import TIMEOUT_S
from addonkit.database.clock import MAX_DIFFERENCE_S, difference_text
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.errors import error_summary, storage_errors
from addonkit.database.location import Location
from addonkit.database.pooler import find_pooler
from addonkit.database.row_security import TABLES
from addonkit.database.server_url import parse_server_url
from addonkit.errors import AddonkitError, StorageUnavailable
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_key_uses
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

ACCESSIBLE_BY_OTHERS = 0o077
READABLE_BY_EVERYBODY = 0o007
NO_ROW_SECURITY = "there is no row-level security"
SERVER_QUERY = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, current_setting('server_version') AS version,
    current_setting('max_connections')::int AS connections,
    r.rolsuper AS is_super,
    r.rolbypassrls AS bypasses_rls,
    coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false) AS is_encrypted,
    host(inet_server_addr()) AS address,
    current_setting('transaction_read_only')::bool AS is_read_only,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
            AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owned
FROM pg_roles r WHERE r.rolname = current_user
"""


async def database(context: CheckContext) -> AsyncIterator[Result]:
    """Check that the database can be used and is migrated, and on PostgreSQL that tenants are separated.

    Raises:
        AddonkitError: It cannot be used.
    """
    location = context.deployment.location
    location.check_usable()
    if pooler := await find_pooler(location):
        yield wrong(str(pooler))
        return
    server = await inspect_server(location) if location.is_postgres else None
    # Those of a plugin that cannot be migrated are reported by the check of plugins.
    steps = await asyncio.to_thread(applicable_steps, context.deployment, lambda _: None)
    yield ok(f"{location}{f', PostgreSQL {server.version}' if server else ''}{'' if steps else '; up to date'}")
    if steps:
        names = ", ".join(steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
        yield warn(f"{len(steps)} migrations pending ({names}); 'addonkit serve' or 'addonkit migrate' applies them")
    for result in judge_server(location, server) if server else _judge_files(location.path):
        yield result


def _judge_files(path: Path) -> Iterator[Result]:
    """Judge who can read an SQLite file and its log; files of earlier releases have the mode of the umask."""
    files = [path.with_name(f"{path.name}{suffix}") for suffix in ("", "-wal", "-shm")]
    names = " ".join(one.name for one in files if one.exists() and one.stat().st_mode & READABLE_BY_EVERYBODY)
    if names:
        yield warn(f"every user of this machine can read the database; run 'chmod o= {names}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A PostgreSQL server as the application's role sees it.

    Attributes:
        version: Such as ``18.1``.
        connections: Maximum number of connections that it accepts.
        is_super: Whether the role is a superuser.
        bypasses_rls: Whether row-level security does not apply to the role.
        owned: Number of tables that the role owns, itself or as a member of their owner.
        restricted: Number of tables of plugins in which the role sees the rows of one tenant only.
        unrestricted: Tables of plugins in which the role sees the rows of all tenants.
        is_exposed: Whether the connection crosses a network without encryption.
        clock_difference_s: Seconds that this machine's clock is ahead of the server's; negative if it is behind.
        foreign_policies: Policies, not made by addonkit, that show the role more rows of a plugin's table.
        is_read_only: Whether the server refuses writes, as a standby does.
    """

    version: str
    connections: int
    is_super: bool
    bypasses_rls: bool
    owned: int
    restricted: int
    unrestricted: tuple[str, ...]
    is_exposed: bool
    foreign_policies: tuple[str, ...] = ()
    clock_difference_s: float = 0.0
    is_read_only: bool = False


async def inspect_server(location: Location) -> Server:
    """Query the server with the application's role.

    Raises:
        StorageUnavailable: It does not respond, or refuses the login.
    """
    import asyncpg  # here, since a deployment on SQLite does not need it

    from addonkit.database.server_connection import connect

    try:
        connection = await connect(location.url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
        try:
            before = time.time()
            row = await connection.fetchrow(SERVER_QUERY)
            difference_s = (before + time.time()) / 2 - row["now"]
            has_tables = await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NOT NULL")
            tables = await connection.fetch(TABLES, location.role) if has_tables else []
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StorageUnavailable(
            f"the database '{location}' cannot be read ({error_summary(error)}); check its server and the role's access"
        ) from error
    bound = [table for table in tables if table["tenant_bound"] and table["app"] not in (None, RUNTIME_APP)]
    return Server(
        version=row["version"].partition(" ")[0],
        connections=row["connections"],
        is_super=row["is_super"],
        bypasses_rls=row["bypasses_rls"],
        owned=row["owned"],
        restricted=sum(table["protected"] for table in bound),
        unrestricted=tuple(table["name"] for table in bound if not table["protected"]),
        is_exposed=not row["is_encrypted"] and is_remote(row["address"]),
        foreign_policies=tuple(f"'{name}' on '{table['name']}'" for table in bound for name in table["other_policies"]),
        clock_difference_s=difference_s,
        is_read_only=row["is_read_only"],
    )


def is_remote(address: str | None) -> bool:
    """Whether a server with this address is another machine; None is a Unix socket."""
    return address is not None and not ip_address(address).is_loopback


def judge_server(location: Location, server: Server) -> Iterator[Result]:
    """Warn of all that weakens the separation of tenants, of a pool that is too large, and of a clock that differs."""
    role = location.role
    if server.is_read_only:
        yield wrong(
            "the server accepts no writes: it is a standby, or read-only; name the primary in [database] url, or all "
            "servers with 'target_session_attrs=read-write'"
        )
    if location.owner_url is not None and len(location.servers) > 1 == len(
        parse_server_url(location.owner_url).addresses
    ):
        yield warn(
            "[database] url names several servers and owner_url one; name all of them there too, so that migrations "
            "work after a failover"
        )
    if location.owner_url is None and (server.owned or server.unrestricted or not server.restricted):
        yield warn(
            f"{NO_ROW_SECURITY}: set [database] owner_url to the role that owns the tables, and url to another role"
        )
    elif location.owner_url is not None and not location.has_row_security:
        yield warn(f"{NO_ROW_SECURITY}: [database] url and owner_url log in as the same role '{role}'; use two roles")
    if server.is_super:
        yield warn(f"the role '{role}' is a superuser, for whom {NO_ROW_SECURITY}; log in as an ordinary role")
    elif server.bypasses_rls:
        yield warn(f"the role '{role}' has BYPASSRLS, so {NO_ROW_SECURITY}; remove it with ALTER ROLE")
    if location.has_row_security and server.owned and not server.is_super:
        yield warn(
            f"the role '{role}' owns, or is a member of the owner of, {server.owned} of the tables, for which "
            f"{NO_ROW_SECURITY}; remove that membership with REVOKE, or give the tables to the role of owner_url with "
            "REASSIGN OWNED"
        )
    if server.foreign_policies:
        yield warn(
            f"policies that addonkit did not create show rows of other tenants: {', '.join(server.foreign_policies)}; "
            "drop them, or make them AS RESTRICTIVE"
        )
    if abs(server.clock_difference_s) > MAX_DIFFERENCE_S:
        yield warn(f"{difference_text(server.clock_difference_s)}; set both clocks by NTP")
    if server.is_exposed:
        yield warn("the connection to the server is not encrypted; add 'sslmode=verify-full' to [database] url")
    if location.pool_size * 2 > server.connections:
        yield warn(
            f"[database] pool_size is {location.pool_size} for each process, but the server accepts "
            f"{server.connections} connections in total; lower the former or raise the latter"
        )


async def keys(context: CheckContext) -> AsyncIterator[Result]:
    """Check the encryption keys: who can read the key file, and whether the keys decrypt all stored secrets.

    Raises:
        SettingsInvalid: There is no key, or the key file is damaged.
    """
    deployment = context.deployment
    if deployment.will_make_key():
        yield ok("none yet; the first start creates a key file, since the add-on is on loopback")
        return
    found = deployment.encryption_keys()
    yield ok(f"{len(found)} key{'s' if len(found) > 1 else ''}; '{found[0][0]}' is used for encryption")
    file = deployment.directory / KEY_FILE
    if not deployment.settings.security.encryption_keys and file.stat().st_mode & ACCESSIBLE_BY_OTHERS:
        yield warn(f"users other than its owner can read '{file}'; run 'chmod 600 {file.name}'")
    for use in await _key_uses(context, Vault(found)):
        if use.is_missing:
            yield wrong(
                f"{use.secrets} secrets are encrypted with the key '{use.key_id}', {_missing(use)}; restore it, or run "
                f"'addonkit keys rotate --drop-lost {use.key_id}' if it is lost for good"
            )


def _missing(use: KeyUse) -> str:
    return "but the key with that id is a different one" if use.state is KeyState.DIFFERS else "which is not available"


async def _key_uses(context: CheckContext, vault: Vault) -> tuple[KeyUse, ...]:
    """Return what each key encrypts; nothing if the database cannot be read, which the database check reports."""
    try:
        location = context.deployment.location
        location.check_usable()
        if await asyncio.to_thread(applicable_steps, context.deployment, lambda _: None):
            return ()
        async with tenant_database(location, {}):
            with storage_errors():
                return await count_key_uses(vault)
    except AddonkitError:
        return ()
