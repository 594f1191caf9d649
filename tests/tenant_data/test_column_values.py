"""Lookups and writes of values that are not of their column's kind, for a column of each kind."""

import datetime
import uuid
from decimal import Decimal

import pytest
from addonkit.database.location import Location
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings
from tortoise.exceptions import ValidationError

from tests.support.columns import APPS
from tests.support.columns.models import Cell, Keyed, Level, Mood
from tests.support.tenants import tenant

UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=14))
WEST = datetime.timezone(-datetime.timedelta(hours=14))
ROW = {
    "name": "first",
    "text": "text",
    "small": 5,
    "number": 5,
    "big": 5,
    "ratio": 1.5,
    "price": Decimal("1.50"),
    "at": datetime.datetime(2024, 1, 1, tzinfo=UTC),
    "day": datetime.date(2024, 1, 1),
    "length": datetime.timedelta(seconds=5),
    "mark": uuid.UUID(int=5),
    "facts": {"a": 1},
    "mood": Mood.GOOD,
    "level": Level.LOW,
}


@pytest.fixture
async def cells(tmp_path):
    """A row with a value in each column, in a tenant's scope."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        with tenant_scope(tenant(1)):
            yield await Cell.create(**ROW)


NO_NUMBER = {"words": "abc", "nothing": "", "not a number": float("nan"), "many digits": "9" * 5000, "NUL": "1\0"}
VALUES = {
    **{
        f"{column}: {kind}": (column, value)
        for column in ("small", "number", "big", "id")
        for kind, value in NO_NUMBER.items()
    },
    "number: infinity as a decimal": ("number", Decimal("-inf")),
    "level: words": ("level", "abc"),
    "level: number of no member": ("level", 7),
    "level: large number": ("level", 2**63),
    "level: fraction": ("level", 1.5),
    "level: infinity": ("level", float("inf")),
    "level: not a number": ("level", float("nan")),
    "mood: words": ("mood", "worse"),
    "mood: NUL": ("mood", "good\0"),
    "mood: number": ("mood", 2**63),
    "mood: member of another": ("mood", Level.LOW),
    "ratio: words": ("ratio", "abc"),
    "ratio: nothing": ("ratio", ""),
    "ratio: very large number": ("ratio", 10**400),
    "price: words": ("price", "abc"),
    "price: NUL": ("price", "1\0"),
    "price: infinity": ("price", Decimal("inf")),
    "price: not a number": ("price", Decimal("nan")),
    "price: signalling": ("price", Decimal("snan")),
    "price: very large number": ("price", 10**400),
    "at: words": ("at", "not a date"),
    "at: no such day": ("at", "2024-13-45"),
    "at: year 10000": ("at", "10000-01-01T00:00:00"),
    "at: before year 1": ("at", datetime.datetime.min.replace(tzinfo=EAST)),
    "at: after year 9999": ("at", datetime.datetime.max.replace(tzinfo=WEST)),
    "at: large number": ("at", 2**63),
    "at: NUL": ("at", "2024-01-01\0"),
    "day: words": ("day", "not a date"),
    "day: no such day": ("day", "2024-02-31"),
    "day: year 0": ("day", "0000-01-01"),
    "day: NUL": ("day", "\0"),
    "length: words": ("length", "abc"),
    "length: large number": ("length", 10**30),
    "length: longest": ("length", datetime.timedelta.max),
    "mark: words": ("mark", "not-a-uuid"),
    "mark: nothing": ("mark", ""),
    "mark: too short": ("mark", "0" * 31),
    "mark: NUL": ("mark", "\0" * 32),
    "mark: number": ("mark", 2**63),
    "mark: bytes": ("mark", b"\0" * 16),
    "name: very large number": ("name", 10**5000),
    "text: very large number": ("text", 10**5000),
    "facts: NUL inside": ("facts", {"a": ["\0"]}),
    "facts: NUL in a name": ("facts", {"\0": 1}),
    "facts: half of a pair": ("facts", {"a": "\ud800"}),
    "facts: large number": ("facts", {"a": [10**30]}),
    "keys: words": ("keys", "abc"),
    "related: words": ("keys__id", "abc"),
}
OF_A_LIST = {"keys: words", "related: words"}
LISTS = sorted(VALUES.keys() - {kind for kind in VALUES if kind.startswith("facts")})


@pytest.mark.parametrize("kind", VALUES)
async def test_lookup_by_a_value_of_another_kind_is_false_and_its_negation_true(cells, kind):
    column, value = VALUES[kind]
    assert await Cell.filter(**{column: value}) == []
    assert await Cell.exclude(**{column: value}).count() == 1
    assert await Cell.filter(**{f"{column}__not": value}).count() == 1
    assert await Cell.get_or_none(**{column: value}) is None
    assert await Cell.filter(**{column: value}).delete() == 0


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - OF_A_LIST))
async def test_rows_by_a_value_of_another_kind_are_none(cells, kind):
    column, value = VALUES[kind]
    assert await Cell.rows(**{column: value}) == []


@pytest.mark.parametrize("kind", LISTS)
async def test_lookup_by_a_list_leaves_values_of_another_kind_out(cells, kind):
    column, value = VALUES[kind]
    assert await Cell.filter(**{f"{column}__in": [value]}) == []
    assert await Cell.exclude(**{f"{column}__in": [value]}).count() == 1
    assert await Cell.filter(**{f"{column}__not_in": [value]}).count() == 1
    if column in ROW:
        assert await Cell.filter(**{f"{column}__in": [value, ROW[column]]}).count() == 1


ORDER = {
    "many digits": ("number", "9" * 5000, 1),
    "infinity": ("number", float("inf"), 1),
    "number of no member": ("level", 7, 1),
    "large number of no member": ("level", 2**63, 1),
    "infinite price": ("price", Decimal("-inf"), -1),
    "after year 9999": ("at", datetime.datetime.max.replace(tzinfo=WEST), 1),
    "before year 1": ("at", datetime.datetime.min.replace(tzinfo=EAST), -1),
    "longest": ("length", datetime.timedelta.max, 1),
    "number as text": ("name", 10**30, -1),
    "words": ("number", "abc", 0),
    "date of words": ("day", "abc", 0),
    "price that is not a number": ("price", Decimal("nan"), 0),
}


@pytest.mark.parametrize("kind", ORDER)
async def test_lookup_by_order_follows_values_that_have_one(cells, kind):
    column, value, side = ORDER[kind]
    assert await Cell.filter(**{f"{column}__lt": value}).count() == (side > 0)
    assert await Cell.filter(**{f"{column}__gte": value}).count() == (side < 0)
    assert await Cell.exclude(**{f"{column}__lte": value}).count() == (side <= 0)


EQUAL = {
    "UUID without hyphens": ("mark", uuid.UUID(int=5).hex),
    "UUID in braces": ("mark", f"{{{uuid.UUID(int=5)}}}"),
    "UUID": ("mark", uuid.UUID(int=5)),
    "time as text": ("at", "2024-01-01T00:00:00+00:00"),
    "day as text": ("day", "2024-01-01"),
    "day of a time": ("day", datetime.datetime(2024, 1, 1, 7, tzinfo=UTC)),
    "member": ("level", Level.LOW),
    "number of a member": ("level", 1),
    "number of a member as text": ("level", "1"),
    "text of a member": ("mood", "good"),
    "number as text": ("number", " 5 "),
    "number as decimal": ("price", "1.5"),
    "microseconds": ("length", 5_000_000),
}


@pytest.mark.parametrize("kind", EQUAL)
async def test_lookup_by_another_form_of_the_value_finds_it(cells, kind):
    column, value = EQUAL[kind]
    assert await Cell.filter(**{column: value}).count() == 1
    assert await Cell.filter(**{f"{column}__in": [value]}).count() == 1
    assert await Cell.exclude(**{column: value}).count() == 0
    assert await Cell.rows(column, **{column: value}) == [(ROW[column],)]


async def test_lookup_by_a_primary_key_of_another_kind_finds_nothing(cells):
    key = uuid.uuid4()
    await Keyed.create(id=key, cell=cells)
    for value in ("bad", "", "\0", 2**200, key.hex[1:]):
        assert await Keyed.get_or_none(id=value) is None
        assert await Keyed.get_or_none(pk=value) is None
        assert await Keyed.in_bulk([value, key], "id") == {key: await Keyed.get(id=str(key))}
        with pytest.raises(KeyError):
            await Keyed[value]


async def test_lookup_by_something_that_is_no_value_is_an_error(cells):
    for condition in ({"number": [1]}, {"ratio": {}}, {"number": object()}):
        with pytest.raises(TypeError):
            await Cell.filter(**condition)


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, 10**400])
async def test_limit_and_offset_beyond_64_bits_are_beyond_all_rows(cells, number):
    assert await Cell.all().limit(number).count() == 1
    assert await Cell.all().limit(number) == [cells]
    assert await Cell.all().offset(number) == []
    assert await Cell.all()[0:number] == [cells]
    assert await Cell.all().limit(number).offset(number).values("name") == []
    assert await Cell.all().union(Cell.all()).limit(number) == [cells]
    assert await Cell.all().union(Cell.all()).limit(1).offset(number) == []


@pytest.mark.parametrize("column", ROW)
async def test_rows_have_the_values_of_the_models_rows(cells, column):
    nothing = await Cell.create(name="nothing")
    models = await Cell.all().order_by("id")
    rows = await Cell.rows(order=["id"])
    assert [getattr(row, column) for row in rows] == [getattr(model, column) for model in models]
    assert [type(getattr(row, column)) for row in rows] == [type(getattr(model, column)) for model in models]
    assert await Cell.rows("id", **{column: ROW[column]}) == [(cells.id,)]
    if column != "name":
        assert await Cell.rows("id", **{column: None}) == [(nothing.id,)]


@pytest.mark.parametrize("number", [0, 1, 2**63, 10**400])
async def test_limit_of_rows_reads_no_more(cells, number):
    await Cell.create(name="second")
    assert len(await Cell.rows("name", limit=number)) == min(number, 2)


WRITTEN = {
    "text as number": {"number": "abc"},
    "digits beyond 64 bits": {"number": "9" * 30},
    "infinity as number": {"number": float("inf")},
    "decimal as number": {"big": Decimal("1e500")},
    "price of too many digits": {"price": Decimal(10**30)},
    "infinite price": {"price": Decimal("inf")},
    "date of words": {"day": "not a date"},
    "date that does not exist": {"day": "2024-02-31"},
    "time of words": {"at": "not a date"},
    "time after year 9999": {"at": datetime.datetime.max.replace(tzinfo=WEST)},
    "UUID of words": {"mark": "not-a-uuid"},
    "NUL inside JSON": {"facts": {"a": ["\0"]}},
    "half of a pair inside JSON": {"facts": {"a": {"b\ud800": 1}}},
    "large number inside JSON": {"facts": [10**30]},
    "longest duration": {"length": datetime.timedelta.max},
}


async def changed_row(row, values):
    for name, value in values.items():
        setattr(row, name, value)
    return row


@pytest.mark.parametrize("kind", WRITTEN)
async def test_write_of_a_value_that_the_column_does_not_hold_is_refused(cells, kind):
    values = WRITTEN[kind]

    async def bulk_update():
        await Cell.bulk_update([await changed_row(await Cell.get(id=cells.id), values)], list(values))

    async def save():
        await (await changed_row(await Cell.get(id=cells.id), values)).save()

    for write in (lambda: Cell.all().update(**values), bulk_update, save):
        with pytest.raises(ValidationError):
            await write()
    # Tortoise converts values first, and raises ValueError for text that is not of the column's kind.
    with pytest.raises((ValidationError, ValueError)):
        await Cell.create(name="new", **values)
    [row] = await Cell.all()
    assert {name: getattr(row, name) for name in values} == {name: ROW[name] for name in values}


async def test_create_of_a_number_that_is_out_of_range_is_a_validation_error(cells):
    for values in (
        {"number": float("inf")},
        {"price": Decimal(10**30)},
        {"at": datetime.datetime.max.replace(tzinfo=WEST)},
        {"number": 2**63},
        {"big": Decimal("1e500")},
    ):
        with pytest.raises(ValidationError):
            await Cell.create(name="new", **values)


@pytest.mark.postgresql
async def test_price_with_more_digits_than_the_column_is_refused(cells):
    with pytest.raises(ValidationError):
        await Cell.create(name="new", price=Decimal(1_000_000))
    await Cell.create(name="new", price=Decimal("999999.99"))
