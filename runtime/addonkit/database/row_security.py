"""Row-level security on PostgreSQL: grants of the application's role, and a policy on each plugin table.

It applies if another role than the application's owns the tables. The policy restricts each connection to the
rows of the tenant that the session setting names, for reads and writes. The runtime's own tables have no policy, since
plugins cannot reach them through models. The application's role has no access to a plugin table without a column
``tenant_id``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from addonkit.database.location import Location
from addonkit.database.sql import quoted

SETTING = "addonkit.tenant"
"""Session setting that the policies read: the number of the current tenant."""

POLICY = "addonkit_tenant"
CONDITION = f"tenant_id = nullif(current_setting('{SETTING}', true), '')::int"
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")

# PostgreSQL shows a policy's expression with parentheses and casts that differ between versions.
_NOISE = r"::[a-z]+|[()\s]"
_NORMALISED = re.sub(_NOISE, "", CONDITION.lower()).replace("'", "''")

Fetch = Callable[..., Awaitable[Sequence[Any]]]


def _is_expected(expression: str) -> str:
    return f"regexp_replace(lower(pg_get_expr({expression}, p.polrelid)), '{_NOISE}', '', 'g') = '{_NORMALISED}'"


# The policy as addonkit creates it; role 0 is PUBLIC.
_UNCHANGED = f"""p.polname = '{POLICY}' AND p.polpermissive AND p.polcmd = '*' AND 0 = ANY(p.polroles)
        AND {_is_expected("p.polqual")} AND {_is_expected("p.polwithcheck")}"""

# A table belongs to the app with the longest matching prefix: 'a_b_c' belongs to 'a_b', not to 'a'.
TABLES = f"""
SELECT c.relname AS name, c.oid,
    (SELECT m.app FROM tortoise_migrations m WHERE starts_with(c.relname, m.app || '_')
        ORDER BY length(m.app) DESC LIMIT 1) AS app,
    c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND {_UNCHANGED}) AS protected,
    ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname <> '{POLICY}'
        AND p.polpermissive AND EXISTS (SELECT FROM unnest(p.polroles) r WHERE r = 0 OR pg_has_role($1, r, 'USAGE'))
        ORDER BY p.polname
    ) AS other_policies,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnum > 0
        AND NOT a.attisdropped) AS tenant_bound,
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
"""  # noqa: S608 - built from constants
SCHEMA = "SELECT current_schema() AS name, has_schema_privilege($1, current_schema(), 'USAGE') AS granted"


class MissingProtection(NamedTuple):
    """A grant or a policy that a table lacks.

    Attributes:
        table: The table, or the schema.
        is_policy: Whether the policy is missing; otherwise a grant is.
        statements: The statements that add it.
    """

    table: str
    is_policy: bool
    statements: tuple[str, ...]


async def missing_protection(fetch: Fetch, location: Location) -> tuple[str, ...]:
    """Describe the missing grants and policies; empty if row-level security does not apply.

    Args:
        fetch: Runs a query as the owner of the tables and returns its rows.
        location: The database.
    """
    return _describe(await _missing(fetch, location), location) if location.has_row_security else ()


async def apply_row_security(
    fetch: Fetch, execute: Callable[[str], Awaitable[object]], location: Location
) -> tuple[str, ...]:
    """Add missing grants and policies; return descriptions of what was added.

    Args:
        fetch: Runs a query as the owner of the tables and returns its rows.
        execute: Runs a statement as the owner of the tables.
        location: The database.
    """
    if not location.has_row_security:
        return ()
    missing = await _missing(fetch, location)
    for one in missing:
        for statement in one.statements:
            await execute(statement)
    return _describe(missing, location)


def _describe(missing: Sequence[MissingProtection], location: Location) -> tuple[str, ...]:
    tables = [f"'{one.table}'" for one in missing if one.is_policy]
    descriptions = [f"row-level security of {', '.join(tables)}"] if tables else []
    if any(not one.is_policy for one in missing):
        descriptions.append(f"access of the role '{location.role}'")
    return tuple(descriptions)


async def _missing(fetch: Fetch, location: Location) -> list[MissingProtection]:
    role = quoted(location.role)
    missing = [
        MissingProtection(row["name"], False, (f"GRANT USAGE ON SCHEMA {quoted(row['name'])} TO {role}",))
        for row in await fetch(SCHEMA, location.role)
        if not row["granted"]
    ]
    for row in await fetch(TABLES, location.role):
        missing += _missing_on(row, role)
    return missing


def _missing_on(row: Any, role: str) -> list[MissingProtection]:
    name, table = row["name"], quoted(row["name"])
    if name == "tortoise_migrations":
        return [] if row["readable"] else [MissingProtection(name, False, (f"GRANT SELECT ON {table} TO {role}",))]
    own = row["app"] == "addonkit"
    if row["app"] is None:
        return []
    if not (own or row["tenant_bound"]):
        # also from PUBLIC, whose rights the role has
        return (
            [MissingProtection(name, False, (f"REVOKE ALL ON {table} FROM {role}, PUBLIC",))]
            if row["touchable"]
            else []
        )
    missing = []
    if not own and not row["protected"]:
        missing.append(MissingProtection(name, True, _policy_statements(table)))
    if not row["granted"]:
        missing.append(MissingProtection(name, False, (f"GRANT {', '.join(RIGHTS)} ON {table} TO {role}",)))
    missing += [
        MissingProtection(name, False, (f"GRANT USAGE, SELECT ON SEQUENCE {quoted(sequence)} TO {role}",))
        for sequence in row["sequences"]
    ]
    return missing


def _policy_statements(table: str) -> tuple[str, ...]:
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {table}",
        f"CREATE POLICY {POLICY} ON {table} USING ({CONDITION}) WITH CHECK ({CONDITION})",
    )
