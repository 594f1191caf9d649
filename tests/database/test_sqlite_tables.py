"""Tables that a migration of SQLite creates again, with what belongs to them; PostgreSQL alters them."""

import sqlite3

import asyncpg
import pytest
from addonkit.testing.databases import run_sql

from tests.database.test_migration_faults import TITLE, change

MORE = """    size = fields.IntField(null=True)
    rank = fields.IntField(db_index=True, null=True)
    mark = fields.IntField(null=True, unique=True)
    parent = fields.ForeignKeyField("NAME.Item", null=True)
    gone = fields.CharField(9, null=True)
"""
META = """        unique_together = (("tenant_id", "title", "size"), ("size", "rank"))
        indexes = (("title", "rank"),)
"""
WIDER = TITLE.replace("50", "80")
REFUSED = (sqlite3.IntegrityError, asyncpg.UniqueViolationError)
ROW = "INSERT INTO {name}_item (title, tenant_id, size, rank, mark) VALUES ('{title}', 1, {size}, {rank}, {mark})"


def without(name):
    return "".join(f"{line}\n" for line in MORE.splitlines() if not line.strip().startswith(f"{name} ="))


def replaced(name, line):
    return without(name) + f"    {line}\n"


CHANGES = {
    "wider column": {"title": WIDER, "more": MORE},
    "column that becomes nullable": {"title": TITLE.replace("50", "50, null=True"), "more": MORE},
    "removed column": {"more": without("gone")},
    "removed relation": {"more": without("parent")},
    "default of the database": {"title": TITLE.replace("50", "50, db_default='x'"), "more": MORE},
    "wider number": {"more": replaced("size", "size = fields.BigIntField(null=True)")},
    "other index": {"more": replaced("gone", "gone = fields.CharField(9, null=True, db_index=True)")},
    "index that goes": {"more": replaced("rank", "rank = fields.IntField(null=True)")},
    "renamed field with its column": {
        "more": replaced("gone", 'left = fields.CharField(9, null=True, source_field="gone")')
    },
}


def insert(package, **values):
    run_sql(package.path.parent, ROW.format(name=package.name, **values))


def index_columns(package):
    """The columns of the indexes that are not unique, on SQLite."""
    table = f"{package.name}_item"
    names = run_sql(package.path.parent, f"SELECT name FROM pragma_index_list('{table}') WHERE \"unique\" = 0")
    return sorted(
        tuple(row[0] for row in run_sql(package.path.parent, f"SELECT name FROM pragma_index_info('{name}')"))
        for (name,) in names
    )


@pytest.fixture
async def released(package):
    """A package whose table has rows, indexes, constraints and a deleted last row."""
    change(package, more=MORE, meta=META)
    await package.make_migration()
    await package.migrate()
    insert(package, title="first", size=1, rank=1, mark=1)
    insert(package, title="last", size=2, rank=2, mark=2)
    run_sql(package.path.parent, f"DELETE FROM {package.name}_item WHERE title = 'last'")
    return package


@pytest.mark.parametrize("kind", CHANGES)
async def test_constraints_and_numbers_stay(released, kind):
    change(released, meta=META, **CHANGES[kind])
    assert await released.make_migration("change") is not None
    await released.migrate()
    for values in (
        {"title": "first", "size": 1, "rank": 5, "mark": 5},
        {"title": "other", "size": 1, "rank": 1, "mark": 5},
        {"title": "other", "size": 5, "rank": 5, "mark": 1},
    ):
        with pytest.raises(REFUSED):
            insert(released, **values)
    insert(released, title="next", size=3, rank=3, mark=3)
    rows = run_sql(released.path.parent, f"SELECT id, title FROM {released.name}_item ORDER BY id")
    assert rows[0] == (1, "first")
    assert rows[1][0] > 2, "a number of a deleted row was used again"
    assert await released.make_migration("again") is None


@pytest.mark.sqlite
@pytest.mark.parametrize("kind", CHANGES)
async def test_indexes_stay(released, kind):
    before = index_columns(released)
    assert before == [("rank",), ("tenant_id",), ("title", "rank")]
    change(released, meta=META, **CHANGES[kind])
    await released.make_migration("change")
    await released.migrate()
    added = [("gone",)] if kind == "other index" else []
    dropped = [("rank",)] if kind == "index that goes" else []
    assert index_columns(released) == sorted({*before, *added} - {*dropped})


@pytest.mark.sqlite
async def test_triggers_stay(released):
    table = f"{released.name}_item"
    run_sql(
        released.path.parent,
        f"CREATE TRIGGER keep_first BEFORE DELETE ON {table} WHEN OLD.title = 'first' "
        "BEGIN SELECT RAISE(ABORT, 'kept'); END",
    )
    change(released, meta=META, title=WIDER, more=MORE)
    await released.make_migration("change")
    await released.migrate()
    with pytest.raises(sqlite3.IntegrityError, match="kept"):
        run_sql(released.path.parent, f"DELETE FROM {table}")


UNIQUE = {
    "one constraint": (
        '        unique_together = (("tenant_id", "title", "size"),)\n',
        {"title": "other", "size": 1, "rank": 1, "mark": 5},
    ),
    "the other": (
        '        unique_together = (("size", "rank"),)\n',
        {"title": "first", "size": 1, "rank": 5, "mark": 5},
    ),
    "both": ("", {"title": "first", "size": 1, "rank": 1, "mark": 5}),
}


@pytest.mark.parametrize("kind", UNIQUE)
async def test_constraint_is_removed_and_its_table_keeps_the_rest(released, kind):
    meta, values = UNIQUE[kind]
    change(released, meta=meta, more=MORE)
    await released.make_migration("change")
    await released.migrate()
    insert(released, **values)
    with pytest.raises(REFUSED):
        insert(released, title="third", size=9, rank=9, mark=5)
    # A second time, when its constraints are indexes
    change(released, meta="", more=MORE)
    if kind != "both":
        await released.make_migration("rest")
        await released.migrate()
    insert(released, title="first", size=1, rank=1, mark=7)


async def test_single_column_stops_to_be_unique(released):
    change(released, meta=META, more=replaced("mark", "mark = fields.IntField(null=True)"))
    await released.make_migration("change")
    await released.migrate()
    insert(released, title="other", size=5, rank=5, mark=1)


@pytest.mark.parametrize("relation", ["ForeignKeyField", "OneToOneField"])
async def test_column_of_a_relation_that_is_not_null_goes_with_it(package, relation):
    change(package, more=f'    parent = fields.{relation}("NAME.Item")\n')
    await package.make_migration()
    await package.migrate()
    run_sql(
        package.path.parent,
        f"INSERT INTO {package.name}_item (id, title, tenant_id, parent_id) VALUES (1, 'first', 1, 1)",
    )
    change(package)
    await package.make_migration("change")
    await package.migrate()
    run_sql(package.path.parent, f"INSERT INTO {package.name}_item (id, title, tenant_id) VALUES (7, 'second', 1)")
    assert run_sql(package.path.parent, f"SELECT * FROM {package.name}_item WHERE id = 7") in (
        [(1, 7, "second")],
        [(7, "second", 1)],
    )
