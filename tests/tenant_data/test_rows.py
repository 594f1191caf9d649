"""Rows that are only shown: named tuples of the current tenant, by a statement that is written once."""

from typing import NamedTuple

import pytest
from addonkit.database.location import Location
from addonkit.errors import CrossTenantWrite, TenantMissing
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.row_statements import row_statement
from addonkit.tenant_data.rows import TenantRows
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings
from tortoise.exceptions import FieldError, OperationalError, ParamsError
from tortoise.expressions import F, Q, Subquery
from tortoise.transactions import in_transaction

from tests.support.notes.models import Link, Note, Pin
from tests.support.shown import APPS
from tests.support.shown.models import Box, Grid, Line, Quota, Report, Sheet, Table
from tests.support.tenants import tenant

MINE, OTHER = tenant(1), tenant(2)


class Shown(NamedTuple):
    """What is shown of a note."""

    title: str
    size: int


class Misspelt(NamedTuple):
    titel: str


@pytest.fixture
def scope(notes):
    with tenant_scope(MINE):
        yield notes


@pytest.fixture
async def shown(tmp_path):
    """The tables of a plugin whose models use the names of ``rows()``, in a tenant's scope."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        with tenant_scope(MINE):
            yield


async def test_rows_have_the_named_fields(scope):
    rows = await Note.rows("title", "open", order=["id"])
    assert rows == [("first", True), ("second", False)]
    assert rows[0].title == "first"
    assert rows[1].open is False
    assert repr(rows[0]) == "Note(title='first', open=True)"


async def test_rows_without_names_have_all_columns(scope):
    [row] = await Note.rows(size=10)
    assert row._asdict() == {"tenant_id": 1, "id": scope[1].id, "title": "first", "size": 10, "open": True}
    [link] = await Link.rows()
    assert link.note_id == scope[1].id


async def test_row_cannot_be_changed_or_saved(scope):
    [row] = await Note.rows("title", size=10)
    with pytest.raises(AttributeError):
        row.title = "changed"
    assert not hasattr(row, "save")
    assert not hasattr(row, "delete")


async def test_rows_are_of_the_class_that_was_given(scope):
    rows = await Note.rows(Shown, order="-size", limit=1)
    assert rows == [Shown("first", 10)]
    assert type(rows[0]) is Shown


SELECTED = {
    "none": ({}, [10, 1]),
    "one value": ({"title": "second"}, [1]),
    "two values": ({"title": "first", "open": True}, [10]),
    "two values of different rows": ({"title": "first", "open": False}, []),
    "primary key": ({"pk": 0}, []),
    "text for a number": ({"size": "10"}, [10]),
    "number that no column holds": ({"size": 2**70}, []),
    "text with NUL": ({"title": "a\0"}, []),
    "ascending": ({"order": ["size"]}, [1, 10]),
    "descending": ({"order": ["-size"]}, [10, 1]),
    "order of one name": ({"order": "size"}, [1, 10]),
    "order of two names": ({"order": ("open", "-pk")}, [1, 10]),
    "limit": ({"order": ["size"], "limit": 1}, [1]),
    "limit of none": ({"limit": 0}, []),
    "limit beyond 64 bits": ({"limit": 2**70}, [10, 1]),
}


@pytest.mark.parametrize("kind", SELECTED)
async def test_rows_are_selected_and_sorted(scope, kind):
    options, expected = SELECTED[kind]
    rows = await Note.rows("size", **{"order": ["id"], **options})
    assert [row.size for row in rows] == expected


async def test_none_is_null(scope):
    await Link.create(text="alone")
    assert await Link.rows("text", note_id=None) == [("alone",)]
    assert await Link.rows("text", note_id=None, text="link") == []
    assert await Link.rows("text", text="link", note_id=scope[1].id) == [("link",)]


BAD_NAMES = {
    "misspelt field": (
        lambda: Note.rows("titel"),
        r"names 'titel', which is not a field of 'Note'; did you mean 'title'",
    ),
    "unknown field": (
        lambda: Note.rows("x"),
        r"names 'x', which is not a field of 'Note'; it has id, open, size, tenant_id",
    ),
    "empty name": (lambda: Note.rows(""), "names '', which is not a field of 'Note'"),
    "field given twice": (lambda: Note.rows("size", "title", "size"), "names 'size' twice"),
    "field given twice by another name": (lambda: Note.rows("id", "pk"), "names 'id' twice"),
    "field of a class": (lambda: Note.rows(Misspelt), "names 'titel'.*did you mean 'title'"),
    "relation": (lambda: Link.rows("note"), "'note', which is a relation of 'Link'; name its column 'note_id'"),
    "one-to-one relation": (lambda: Pin.rows("note"), "name its column 'note_id'"),
    "reverse relation": (lambda: Note.rows("links"), "'links', which is a relation of 'Note'; read it with a query"),
    "field of a relation": (lambda: Link.rows("note__title"), r"write Link.filter\(note__title=…\)"),
    "value of an unknown field": (lambda: Note.rows("title", sise=1), "names 'sise'.*did you mean 'size'"),
    "value of a relation": (lambda: Link.rows("text", note=1), "name its column 'note_id'"),
    "None of an unknown field": (lambda: Note.rows("title", sise=None), "did you mean 'size'"),
    "lookup": (lambda: Note.rows("title", size__gt=1), r"compares by equality only; write Note.filter\(size__gt=…\)"),
    "order by an unknown field": (lambda: Note.rows("title", order=["titel"]), "did you mean 'title'"),
    "order by a relation": (lambda: Link.rows("text", order=["-note"]), "name its column 'note_id'"),
    "order by a field twice": (lambda: Note.rows("title", order=["size", "-size"]), "sorts by 'size' twice"),
    "order by two signs": (lambda: Note.rows("title", order=["--size"]), "names '-size'"),
    "SQL": (lambda: Note.rows('title" FROM notes_note --'), "is not a field of 'Note'"),
    "SQL as an order": (lambda: Note.rows("title", order=["size; DROP TABLE notes_note"]), "is not a field of 'Note'"),
    "SQL as a condition": (lambda: Note.rows("title", **{'size" = 1 OR "size': 1}), "is not a field of 'Note'"),
}


@pytest.mark.parametrize("kind", BAD_NAMES)
async def test_name_that_is_no_column_is_refused_at_the_call(scope, kind):
    make, message = BAD_NAMES[kind]
    with pytest.raises(FieldError, match=message):
        make()


BAD_VALUES = {
    "list": (lambda: Note.rows("title", size=[1]), TypeError, r"got a list; write Note.filter\(size__in=…\)"),
    "tuple": (lambda: Note.rows("title", size=(1,)), TypeError, "got a tuple"),
    "set": (lambda: Note.rows("title", title={"a"}), TypeError, "got a set"),
    "dictionary": (lambda: Note.rows("title", title={}), TypeError, "got a dict"),
    "field expression": (lambda: Note.rows("title", size=F("id")), TypeError, r"expression \(F\); write Note.filter"),
    "condition": (lambda: Note.rows("title", size=Q(size=1)), TypeError, r"expression \(Q\)"),
    "subquery": (lambda: Note.rows("title", id=Subquery(Note.all().values("id"))), TypeError, "expression"),
    "query": (lambda: Note.rows("title", id=Note.all()), TypeError, "expression"),
    "rows": (lambda: Note.rows("title", id=Note.rows("id")), TypeError, "expression"),
    "row": (lambda: Link.rows("text", note_id=Note(id=1)), TypeError, "a row of 'Note'; write its primary key"),
    "object": (lambda: Note.rows("title", size=object()), TypeError, "object"),
    "negative limit": (lambda: Note.rows("title", limit=-1), ParamsError, "got the limit -1; it must be 0 or more"),
    "limit of a text": (lambda: Note.rows("title", limit="5"), TypeError, "as 'limit', got a value of the type 'str'"),
    "limit of a fraction": (lambda: Note.rows("title", limit=1.5), TypeError, "of the type 'float'"),
    "limit of a bool": (lambda: Note.rows("title", limit=True), TypeError, "of the type 'bool'"),
    "order of a set": (lambda: Note.rows("title", order={"size"}), TypeError, "list of names as 'order'"),
    "order of a number": (lambda: Note.rows("title", order=5), TypeError, "as 'order', got a value of the type 'int'"),
    "order of numbers": (lambda: Note.rows("title", order=[5]), TypeError, "list of names as 'order'"),
    "order of None": (lambda: Note.rows("title", order=None), TypeError, "'NoneType'"),
    "names in a list": (lambda: Note.rows(["title", "size"]), TypeError, "separate arguments.*of the type 'list'"),
    "number as a name": (lambda: Note.rows(1), TypeError, "of the type 'int'"),
    "class without fields": (lambda: Note.rows(tuple), TypeError, "got the class 'tuple'"),
    "class of another kind": (lambda: Note.rows(Note), TypeError, "got the class 'Note'"),
    "class and names": (lambda: Note.rows(Shown, "title"), TypeError, "the class 'Shown' and names"),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
async def test_value_of_a_wrong_kind_is_refused_at_the_call(scope, kind):
    make, error, message = BAD_VALUES[kind]
    with pytest.raises(error, match=message):
        make()


async def test_value_is_not_shown_in_the_error(scope):
    with pytest.raises(TypeError) as refused:
        Note.rows("title", title=["secret"])
    assert "secret" not in str(refused.value)


async def test_statement_is_written_once_for_each_shape(scope):
    def read(value, **options):
        return Note.rows("title", size=value, **options)

    await read(10)
    written = row_statement.cache_info().misses
    for value in range(20):
        await read(value)
    assert row_statement.cache_info().misses == written
    for options in ({"limit": 5}, {"limit": 6}, {"order": ["id"]}, {"open": None}, {"open": True}):
        await read(1, **options)
    assert row_statement.cache_info().misses == written + 4


async def test_tenant_is_the_first_condition_of_every_statement(scope):
    for query in (Note.rows(), Note.rows("title", size=1), Note.rows(order=["id"], limit=1, open=None)):
        assert query._statement.sql.partition(" WHERE ")[2].startswith('"tenant_id" = ')


async def test_rows_in_a_transaction_see_what_it_has_written(scope):
    async with in_transaction() as transaction:
        await Note.create(title="third", size=3)
        assert await Note.rows("title", size=3) == [("third",)]
        await transaction.rollback()
    assert await Note.rows("title", size=3) == []


async def test_query_can_be_awaited_again(scope):
    query = Note.rows("size", order=["id"])
    before = await query
    await Note.filter(size=10).update(size=11)
    assert (before, await query) == ([(10,), (1,)], [(11,), (1,)])


async def test_rows_of_another_tenants_scope_are_refused(notes):
    with tenant_scope(OTHER):
        query = Note.rows("title")
        assert isinstance(query, TenantRows)
    with (
        tenant_scope(MINE),
        pytest.raises(CrossTenantWrite, match="'Note' that was created in the scope of tenant 2"),
    ):
        await query
    with pytest.raises(TenantMissing):
        await query
    with pytest.raises(TenantMissing):
        Note.rows("title")


@pytest.mark.postgresql
async def test_error_of_the_database_is_tortoises(scope, monkeypatch):
    query = Note.rows("title")
    monkeypatch.setattr(query, "_statement", query._statement.__class__("SELECT nothing", (), (), tuple))
    with pytest.raises(OperationalError):
        await query


AMBIGUOUS = {
    "limit": (
        lambda: Quota.rows("id", limit=5),
        r"which is also a field of 'Quota'; write Quota.filter\(limit=…\)",
    ),
    "limit of none": (lambda: Quota.rows("id", limit=0), r"or Quota.filter\(…\).limit\(…\) to read fewer rows"),
    "order as a number": (
        lambda: Quota.rows("id", order=5),
        r"filter\(order=…\) to compare it, or order=\[…\] to sort",
    ),
    "order as a text": (lambda: Quota.rows("id", order="id"), "which is also a field"),
    "order as None": (lambda: Quota.rows("id", order=None), "which is also a field"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
async def test_option_that_is_also_a_field_is_refused(shown, kind):
    make, message = AMBIGUOUS[kind]
    with pytest.raises(ParamsError, match=message):
        make()


async def test_fields_with_reserved_names_are_read_and_compared(shown):
    await Quota.create(order=2, limit=7, count=1, fields=5, shape=6, where="a")
    await Quota.create(order=1, limit=8, count=2, fields=5, shape=6, where="b")
    rows = await Quota.rows("order", "limit", "count", "fields", "where", order=["order"], fields=5, shape=6)
    assert [(row.order, row.limit, row.count, row.fields, row.where) for row in rows] == [
        (1, 8, 2, 5, "b"),
        (2, 7, 1, 5, "a"),
    ]
    assert await Quota.rows("limit", where="a", count=1) == [(7,)]


async def test_rows_without_an_order_have_the_models_own(shown):
    for count in (1, 3, 2, 3):
        await Quota.create(count=count)
    assert await Quota.rows("count", "id") == [(3, 2), (3, 4), (2, 3), (1, 1)]
    assert await Quota.rows("count") == await Quota.all().values_list("count")
    with pytest.raises(ParamsError, match=r"would sort by 'table__name', the default order of 'Line'.*pass 'order'"):
        Line.rows("text")
    assert await Line.rows("text", order=["id"]) == []


async def test_model_with_a_field_named_rows_keeps_it(shown):
    grid = await Grid.create(rows=4)
    assert (grid.rows, (await Grid.get(rows=4)).rows) == (4, 4)
    grid.rows = 5
    await grid.save()
    assert await Grid.filter(rows=5).values_list("rows", flat=True) == [5]
    assert await Grid.rows("rows", rows=5) == [(5,)]


async def test_model_with_a_reverse_relation_named_rows_keeps_it(shown):
    table = await Table.create(name="a")
    await Line.create(table=table, text="first")
    assert [line.text for line in await table.rows.all()] == ["first"]
    assert [line.text for line in (await Table.all().prefetch_related("rows"))[0].rows] == ["first"]


async def test_model_with_its_own_attribute_named_rows_keeps_it(shown):
    assert Sheet.rows == "an attribute"
    assert (await Box.create()).rows == 10
    await Report.create()
    assert await Report.rows(7) == [7, 1]


async def test_field_that_a_named_tuple_cannot_have_is_refused(shown):
    for query in (lambda: Grid.rows(), lambda: Grid.rows("id", "_secret")):
        with pytest.raises(FieldError, match=r"reads '_secret', and a named tuple.*Grid.filter\(…\).values"):
            query()
    grid = await Grid.create()
    assert await Grid.rows("id", _secret="hidden") == [(grid.id,)]
