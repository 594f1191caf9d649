"""The second wall, in PostgreSQL itself: what the application's role may touch, and of whom it sees rows.

It stands where the tables belong to another role than the application's. Each table of a plugin then shows a
connection the rows of the tenant that it was told, and takes no others. The runtime's own tables have no such policy,
for no plugin's door leads to them. A plugin's table without a column ``tenant_id`` is closed to the application.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from addonkit.database.location import Location

SETTING = "addonkit.tenant"
"""What the policies look at: the number of the tenant in scope, told to each connection as it is taken."""

POLICY = "addonkit_tenant"
CONDITION = f"tenant_id = nullif(current_setting('{SETTING}', true), '')::int"
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")

# Brackets and casts are PostgreSQL's when it says what a policy looks at, and differ from version to version.
_NOISE = r"::[a-z]+|[()\s]"
_BARE = re.sub(_NOISE, "", CONDITION.lower()).replace("'", "''")

Ask = Callable[..., Awaitable[Sequence[Any]]]


def _is_ours(expression: str) -> str:
    return f"regexp_replace(lower(pg_get_expr({expression}, p.polrelid)), '{_NOISE}', '', 'g') = '{_BARE}'"


# Ours, as it was made; the role 0 is everybody.
_INTACT = f"""p.polname = '{POLICY}' AND p.polpermissive AND p.polcmd = '*' AND 0 = ANY(p.polroles)
        AND {_is_ours("p.polqual")} AND {_is_ours("p.polwithcheck")}"""

# Whose a table is follows from its name; of two plugins 'a' and 'a_b', a table 'a_b_c' is that of 'a_b'.
TABLES = f"""
SELECT c.relname AS name, c.oid,
    (SELECT m.app FROM tortoise_migrations m WHERE starts_with(c.relname, m.app || '_')
        ORDER BY length(m.app) DESC LIMIT 1) AS app,
    c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND {_INTACT}) AS walled,
    ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname <> '{POLICY}'
        AND p.polpermissive AND EXISTS (SELECT FROM unnest(p.polroles) r WHERE r = 0 OR pg_has_role($1, r, 'USAGE'))
        ORDER BY p.polname
    ) AS strangers,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnum > 0
        AND NOT a.attisdropped) AS bound,
    {" AND ".join(f"has_table_privilege($1, c.oid, '{right}')" for right in RIGHTS)} AS granted,
    has_table_privilege($1, c.oid, 'SELECT') AS readable,
    EXISTS (SELECT FROM (
        SELECT c.relacl UNION ALL SELECT a.attacl FROM pg_attribute a WHERE a.attrelid = c.oid
    ) l (acl), aclexplode(l.acl) x WHERE x.grantee = 0 OR pg_get_userbyid(x.grantee) = $1) AS touchable,
    ARRAY(SELECT s.relname::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
        WHERE d.refobjid = c.oid AND d.deptype IN ('a', 'i')
            AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege($1, s.oid, 'USAGE') ELSE false END
    ) AS sequences
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema() ORDER BY c.relname
"""  # noqa: S608 - put together from constants
SCHEMA = "SELECT current_schema() AS name, has_schema_privilege($1, current_schema(), 'USAGE') AS granted"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the wall lacks.

    Attributes:
        table: Where.
        walling: Whether the policy is missing, and not a right of the application.
        statements: What mends it.
    """

    table: str
    walling: bool
    statements: tuple[str, ...]


async def lacking(ask: Ask, location: Location) -> tuple[str, ...]:
    """Give what the wall lacks, in words; nothing if there is to be none.

    Args:
        ask: Runs one query as the tables' owner and gives its rows.
        location: The database.
    """
    return _words(await _gaps(ask, location), location) if location.has_wall else ()


async def protect(ask: Ask, run: Callable[[str], Awaitable[object]], location: Location) -> tuple[str, ...]:
    """Give the application's role what it needs, wall the plugins' tables, and give what was done, in words.

    Args:
        ask: Runs one query as the tables' owner and gives its rows.
        run: Runs one statement likewise.
        location: The database.
    """
    if not location.has_wall:
        return ()
    gaps = await _gaps(ask, location)
    for gap in gaps:
        for statement in gap.statements:
            await run(statement)
    return _words(gaps, location)


def _words(gaps: Sequence[Gap], location: Location) -> tuple[str, ...]:
    walled = [f"'{gap.table}'" for gap in gaps if gap.walling]
    said = [f"row-level security of {', '.join(walled)}"] if walled else []
    if any(not gap.walling for gap in gaps):
        said.append(f"access of the role '{location.role}'")
    return tuple(said)


async def _gaps(ask: Ask, location: Location) -> list[Gap]:
    role = _quoted(location.role)
    gaps = [
        Gap(row["name"], False, (f"GRANT USAGE ON SCHEMA {_quoted(row['name'])} TO {role}",))
        for row in await ask(SCHEMA, location.role)
        if not row["granted"]
    ]
    for row in await ask(TABLES, location.role):
        gaps += _gaps_of(row, role)
    return gaps


def _gaps_of(row: Any, role: str) -> list[Gap]:
    name, table = row["name"], _quoted(row["name"])
    if name == "tortoise_migrations":
        return [] if row["readable"] else [Gap(name, False, (f"GRANT SELECT ON {table} TO {role}",))]
    own = row["app"] == "addonkit"
    if row["app"] is None:
        return []
    if not (own or row["bound"]):
        # also from everybody, or it would stay open to the role by that
        return [Gap(name, False, (f"REVOKE ALL ON {table} FROM {role}, PUBLIC",))] if row["touchable"] else []
    gaps = []
    if not own and not row["walled"]:
        gaps.append(Gap(name, True, _walling(table)))
    if not row["granted"]:
        gaps.append(Gap(name, False, (f"GRANT {', '.join(RIGHTS)} ON {table} TO {role}",)))
    gaps += [
        Gap(name, False, (f"GRANT USAGE, SELECT ON SEQUENCE {_quoted(sequence)} TO {role}",))
        for sequence in row["sequences"]
    ]
    return gaps


def _walling(table: str) -> tuple[str, ...]:
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {table}",
        f"CREATE POLICY {POLICY} ON {table} USING ({CONDITION}) WITH CHECK ({CONDITION})",
    )


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
