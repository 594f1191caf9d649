"""Dates that SQLite stores as text: read by ``fromisoformat``, to the values that Tortoise's own parser gives."""

import datetime

import pytest
from addonkit.database.location import Location
from addonkit.database.stored_dates import DAY, MOMENT, _StoredDay, _StoredMoment
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, run_sql
from hypothesis import given
from hypothesis import strategies as st
from tortoise.fields import DateField, DatetimeField

from tests.support.columns import APPS
from tests.support.columns.models import Cell
from tests.support.tenants import tenant

UTC = datetime.UTC
FIELDS = {"moment": (_StoredMoment, DatetimeField()), "day": (_StoredDay, DateField())}
OFFSETS = st.timedeltas(datetime.timedelta(hours=-23, minutes=-59), datetime.timedelta(hours=23, minutes=59))
ZONES = st.none() | st.just(UTC) | OFFSETS.map(lambda offset: datetime.timezone(offset - offset % MINUTE))
MINUTE = datetime.timedelta(minutes=1)
MOMENTS = st.datetimes(timezones=ZONES)
SPELLINGS = {
    "space": lambda moment: moment.isoformat(" "),
    "T": lambda moment: moment.isoformat(),
    "seconds": lambda moment: moment.isoformat(" ", "seconds"),
    "minutes": lambda moment: moment.isoformat("T", "minutes"),
    "milliseconds": lambda moment: moment.isoformat(" ", "milliseconds"),
    "Z": lambda moment: moment.replace(tzinfo=None).isoformat() + "Z",
    "basic": lambda moment: moment.strftime("%Y%m%dT%H%M%S%z"),
    "day only": lambda moment: moment.date().isoformat(),
    "hours of an offset": lambda moment: moment.replace(tzinfo=None).isoformat(" ") + "+05",
    "comma": lambda moment: moment.isoformat(" ").replace(".", ","),
}


def outcome(convert, value):
    """Return what a conversion gives, or the class and text of its error."""
    try:
        found = convert(value)
    except (ValueError, OverflowError) as error:
        return type(error), str(error)
    return found, getattr(found, "tzinfo", None) and found.utcoffset()


def assert_same(value):
    for reader, field in FIELDS.values():
        assert outcome(reader(field).to_python_value, value) == outcome(field.to_python_value, value)


@given(MOMENTS)
def test_stored_date_is_read_as_tortoise_reads_it_in_every_spelling(moment):
    for spell in SPELLINGS.values():
        assert_same(spell(moment))


@given(st.text("0123456789-:. TZW+,\n٣", max_size=34))
def test_text_that_is_hardly_a_date_is_read_or_refused_as_tortoise_does(text):
    assert_same(text)


@given(MOMENTS, st.integers(0, 33), st.sampled_from("0129-:. TZW+,\n٣"))
def test_date_with_one_wrong_character_is_read_or_refused_as_tortoise_does(moment, place, character):
    text = moment.isoformat(" ")
    assert_same(text[:place] + character + text[place + 1 :])
    assert_same(text[:place] + character + text[place:])


ODD = {
    "no such day": "2024-02-31 00:00:00+00:00",
    "no such hour": "2024-02-01 24:00:00+00:00",
    "leap second": "2024-06-30 23:59:60+00:00",
    "minutes of an offset": "2024-02-01 00:00:00+00:75",
    "offset of a day": "2024-02-01 00:00:00+24:00",
    "seconds of an offset": "2024-02-01 00:00:00.123+00:00:00",
    "week": "2024-W01-1T00:00:00",
    "nanoseconds": "2024-02-01 00:00:00.123456789+00:00",
    "first moment": "0001-01-01 00:00:00+14:00",
    "last moment": "9999-12-31 23:59:59.999999-14:00",
    "year 0": "0000-01-01",
    "trailing line": "2024-02-01\n",
    "nothing": "",
    "none": None,
    "seconds since 1970": 1_700_000_000,
    "moment": datetime.datetime(2024, 2, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_date_is_read_or_refused_as_tortoise_does(kind):
    assert_same(ODD[kind])


def test_dates_as_the_runtime_stores_them_are_parsed_fast():
    moment = datetime.datetime(2024, 2, 1, 10, 20, 30, tzinfo=UTC)
    for stored in (moment, moment.replace(microsecond=5), moment.replace(tzinfo=None)):
        assert MOMENT.fullmatch(stored.isoformat(" "))
    assert DAY.fullmatch(moment.date().isoformat())


@pytest.mark.sqlite
async def test_rows_of_a_model_have_the_same_dates_whatever_their_spelling(tmp_path, monkeypatch):
    location = Location(f"sqlite://{tmp_path}/addonkit.db")
    await create_tables(location, APPS)
    fast = ["2024-02-01 10:00:00+00:00", "2024-02-01T10:00:00.000000", "2024-02-01 12:00:00+02:00"]
    slow = ["2024-02-01T10:00Z", "20240201T120000+0200"]
    async with tenant_database(location, APPS):
        with tenant_scope(tenant(1)):
            for text in fast + slow:
                row = await Cell.create(name="x")
                run_sql(tmp_path, "UPDATE columns_cell SET at = ?, day = '2024-02-01' WHERE id = ?", text, row.id)
            parsed = []
            parser = DatetimeField.to_python_value.__globals__
            parse = parser["parse_datetime"]
            monkeypatch.setitem(parser, "parse_datetime", lambda text: parsed.append(text) or parse(text))
            rows = await Cell.all().order_by("id")
            assert {(row.at, row.day) for row in rows} == {
                (datetime.datetime(2024, 2, 1, 10, tzinfo=UTC), datetime.date(2024, 2, 1))
            }
            assert parsed == slow
