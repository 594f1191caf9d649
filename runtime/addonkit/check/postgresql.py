"""What a PostgreSQL server says of itself and of the role that the application logs in as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from addonkit.check.http_probe import TIMEOUT_S
from addonkit.check.result import Remark, warn
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.errors import in_a_line
from addonkit.database.location import Location
from addonkit.database.row_security import TABLES
from addonkit.errors import StorageUnavailable

NO_WALL = "there is no row-level security"
QUESTION = """
SELECT current_setting('server_version') AS version,
    current_setting('max_connections')::int AS connections,
    r.rolsuper AS is_super,
    r.rolbypassrls AS passes_walls,
    coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false) AS is_encrypted,
    host(inet_server_addr()) AS address,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
            AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owned
FROM pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server as the application's role sees it.

    Attributes:
        version: Such as ``18.1``.
        connections: Most that it takes in all.
        is_super: Whether the role may do anything.
        passes_walls: Whether row-level security does not count for the role.
        owned: How many of the tables the role owns, itself or as a member of their owner.
        walled: How many tables of plugins show the role one site's rows at a time.
        open: Those that show it all of them.
        is_exposed: Whether what is said goes over a network unencrypted.
        strangers: Policies that are not ours and show the role more rows of a plugin's table.
    """

    version: str
    connections: int
    is_super: bool
    passes_walls: bool
    owned: int
    walled: int
    open: tuple[str, ...]
    is_exposed: bool
    strangers: tuple[str, ...] = ()


async def asked(location: Location) -> Server:
    """Ask it, as the application.

    Raises:
        StorageUnavailable: It does not answer, or does not let us in.
    """
    import asyncpg  # here, for who stores in a file needs none of it

    try:
        connection = await asyncpg.connect(location.url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
        try:
            row = await connection.fetchrow(QUESTION)
            has_tables = await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NOT NULL")
            tables = await connection.fetch(TABLES, location.role) if has_tables else []
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as problem:
        raise StorageUnavailable(
            f"the database '{location}' cannot be read ({in_a_line(problem)}); check its server and the role's access"
        ) from problem
    bound = [table for table in tables if table["bound"] and table["app"] not in (None, RUNTIME_APP)]
    return Server(
        row["version"].partition(" ")[0],
        row["connections"],
        row["is_super"],
        row["passes_walls"],
        row["owned"],
        sum(table["walled"] for table in bound),
        tuple(table["name"] for table in bound if not table["walled"]),
        not row["is_encrypted"] and is_elsewhere(row["address"]),
        tuple(f"'{name}' on '{table['name']}'" for table in bound for name in table["strangers"]),
    )


def is_elsewhere(address: str | None) -> bool:
    """Whether a server that is reached at this address is another machine; None is a socket in the file system."""
    return address is not None and not ip_address(address).is_loopback


def judged(location: Location, server: Server) -> Iterator[Remark]:
    """What should not stay so."""
    if location.owner_url is None and (server.owned or server.open or not server.walled):
        yield warn(f"{NO_WALL}: name the role that owns the tables in [database] owner_url, and another one in url")
    elif location.owner_url is not None and not location.has_wall:
        yield warn(f"{NO_WALL}: [database] url and owner_url log in as the same role '{location.role}'; use two roles")
    if server.is_super:
        yield warn(f"the role '{location.role}' is a superuser, for whom {NO_WALL}; log in as an ordinary one")
    elif server.passes_walls:
        yield warn(f"the role '{location.role}' has BYPASSRLS, so that {NO_WALL}; take it away with ALTER ROLE")
    if location.has_wall and server.owned and not server.is_super:
        yield warn(
            f"the role '{location.role}' owns, or is a member of the owner of, {server.owned} of the tables, for which "
            f"{NO_WALL}; take that membership away with REVOKE, or give the tables to the role of owner_url with "
            "REASSIGN OWNED"
        )
    if server.strangers:
        yield warn(
            f"other policies than ours show rows of other sites: {', '.join(server.strangers)}; drop them, or make "
            "them AS RESTRICTIVE"
        )
    if server.is_exposed:
        yield warn("what is said to the server is not encrypted; add 'sslmode=verify-full' to [database] url")
    if location.pool_size * 2 > server.connections:
        yield warn(
            f"[database] pool_size is {location.pool_size} for each process, and the server takes {server.connections} "
            "connections in all; lower the one or raise the other"
        )
