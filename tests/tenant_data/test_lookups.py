"""Lookups by values that no row can hold."""

import pytest
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import on_postgresql
from tortoise.exceptions import DoesNotExist, ValidationError
from tortoise.expressions import Case, F, Q, Subquery, When
from tortoise.functions import Count, Max

from tests.support.notes.models import Link, Note, Slug
from tests.support.tenants import tenant

MINE = tenant(1)
LONG = "x" * 51
NUL = "a\0b"
HALF = "\ud800"
HUGE = 2**63
VALUES = {
    "text that is too long": ("title", LONG),
    "very long text": ("title", "é" * 100_000),
    "text with a space too many": ("title", "y" * 50 + " "),
    "text with NUL": ("title", NUL),
    "NUL alone": ("title", "\0"),
    "long text with NUL": ("title", LONG + NUL),
    "half of a surrogate pair": ("title", HALF),
    "number beyond 64 bits": ("size", HUGE),
    "very large number": ("size", 10**400),
    "number below 64 bits": ("size", -HUGE - 1),
    "digits beyond 64 bits": ("size", "9" * 30),
    "infinity": ("size", float("inf")),
    "primary key": ("id", HUGE),
    "pk": ("pk", -(2**200)),
    "tenant": ("tenant_id", HUGE),
    "text of a related row": ("links__text", LONG),
    "NUL of a related row": ("links__text", NUL),
    "number of a related row": ("links__id", HUGE),
    "related row": ("links", HUGE),
}


@pytest.fixture
def scope(notes):
    with tenant_scope(MINE):
        yield notes


@pytest.mark.parametrize("kind", VALUES)
async def test_lookup_by_an_unstorable_value_is_false_and_its_negation_true(scope, kind):
    name, value = VALUES[kind]
    condition = {name: value}
    assert await Note.filter(**condition) == []
    assert await Note.exclude(**condition).count() == 2
    assert await Note.filter(~Q(**condition)).count() == 2
    assert await Note.filter(Q(size=10) | Q(**condition)).count() == 1
    assert await Note.filter(Q(size=10) & ~Q(**condition)).count() == 1
    assert await Note.get_or_none(**condition) is None
    assert await Note.exists(**condition) is False
    assert await Note.filter(**condition).first().values("title") is None
    assert await Note.filter(**condition).update(title="changed") == 0
    assert await Note.filter(**condition).delete() == 0
    with pytest.raises(DoesNotExist):
        await Note.get(**condition)


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - {"tenant"}))
async def test_lookup_by_a_list_leaves_unstorable_values_out(scope, kind):
    name, value = VALUES[kind]
    columns = {"pk": "id", "links": "links__id"}
    known = await Note.get(size=10).values_list(columns.get(name, name), flat=True)
    assert await Note.filter(**{f"{name}__in": [value]}) == []
    assert [note.size for note in await Note.filter(**{f"{name}__in": [value, known, value]})] == [10]
    assert await Note.exclude(**{f"{name}__in": [value]}).count() == 2
    assert [note.size for note in await Note.exclude(**{f"{name}__in": [known, value]})] in ([1], [])
    assert await Note.filter(**{f"{name}__not_in": [value]}).count() == 2
    assert await Note.filter(**{f"{name}__not": value}).count() == 2


@pytest.mark.parametrize(
    "lookup",
    ["contains", "startswith", "endswith", "iexact", "icontains", "istartswith", "iendswith"],
)
@pytest.mark.parametrize("value", [LONG, NUL, "\0", HALF, "x" * 10_000])
async def test_lookup_by_a_part_that_no_text_has_is_false(scope, lookup, value):
    assert await Note.filter(**{f"title__{lookup}": value}) == []
    assert await Note.exclude(**{f"title__{lookup}": value}).count() == 2


ORDER = {
    "greater than the greatest": ({"size__gt": HUGE}, 0),
    "at least the greatest": ({"size__gte": HUGE}, 0),
    "less than the greatest": ({"size__lt": HUGE}, 2),
    "at most the greatest": ({"size__lte": 10**30}, 2),
    "greater than the least": ({"size__gt": -HUGE - 1}, 2),
    "less than the least": ({"size__lt": -HUGE - 1}, 0),
    "range above": ({"size__range": (5, HUGE)}, 1),
    "range below": ({"size__range": (-HUGE - 1, 5)}, 1),
    "range of everything": ({"size__range": (-(10**30), 10**30)}, 2),
    "range beyond": ({"size__range": (HUGE, HUGE + 5)}, 0),
    "longer text is greater": ({"title__gt": "first" + LONG}, 1),
    "longer text is at least": ({"title__lte": "first" + LONG}, 1),
    "text with NUL": ({"title__gt": NUL}, 0),
}


@pytest.mark.parametrize("kind", ORDER)
async def test_lookup_by_order_follows_the_numbers(scope, kind):
    condition, expected = ORDER[kind]
    assert await Note.filter(**condition).count() == expected
    assert await Note.exclude(**condition).count() == 2 - expected


@pytest.mark.postgresql
async def test_lookup_beyond_a_column_of_32_bits_is_false(scope):
    assert on_postgresql()
    assert await Note.filter(size=2**31) == []
    assert await Note.filter(size__in=[2**40, 10]).count() == 1
    assert await Note.filter(size__lt=2**31).count() == 2


COMPUTED = {
    "number": lambda: Note.annotate(n=Count("links")).filter(n=HUGE),
    "numbers": lambda: Note.annotate(n=Count("links")).filter(n__in=[HUGE]),
    "greater": lambda: Note.annotate(n=Max("size")).filter(n__gt=HUGE),
    "text": lambda: Note.annotate(t=F("title")).filter(t=NUL),
    "part of a text": lambda: Note.annotate(t=F("title")).filter(t__contains=NUL),
    "case": lambda: Note.annotate(c=Case(When(title=LONG, then="1"), default="2")).filter(c="1"),
    "subquery": lambda: Note.filter(id__in=Subquery(Link.filter(text=NUL).values("note_id"))),
    "related manager": lambda: Link.filter(note__title=LONG),
    "relation": lambda: Link.filter(note=HUGE),
    "key of a relation": lambda: Link.filter(note_id__in=[HUGE]),
}


@pytest.mark.parametrize("kind", COMPUTED)
async def test_lookup_of_computed_and_related_values_is_false(scope, kind):
    assert await COMPUTED[kind]() == []


async def test_lookup_by_many_keys_leaves_unstorable_ones_out(scope):
    assert list(await Note.in_bulk([scope[1].id, HUGE], "id")) == [scope[1].id]
    with pytest.raises(KeyError):
        await Note[HUGE]


WRITTEN = {
    "text that is too long": {"title": LONG},
    "text with NUL": {"title": NUL},
    "half of a surrogate pair": {"title": HALF},
    "number beyond 64 bits": {"title": "x", "size": HUGE},
    "number below 64 bits": {"title": "x", "size": -HUGE - 1},
}


@pytest.mark.parametrize("kind", WRITTEN)
async def test_write_of_an_unstorable_value_is_refused(scope, kind):
    values = WRITTEN[kind]
    row = await Note.get(size=10)
    writes = {
        "create": lambda: Note.create(**values),
        "save of a new row": lambda: Note(**values).save(),
        "save": lambda: row.update_from_dict(values).save(),
        "save of some columns": lambda: row.update_from_dict(values).save(update_fields=list(values)),
        "update": lambda: Note.all().update(**values),
        "bulk_create": lambda: Note.bulk_create([Note(**values)]),
        "bulk_update": lambda: Note.bulk_update([row.update_from_dict(values)], list(values)),
        "get_or_create": lambda: Note.get_or_create(**values),
        "update_or_create": lambda: Note.update_or_create(values, size=10),
    }
    for write in writes.values():
        with pytest.raises(ValidationError):
            await write()
    assert await Note.all().order_by("id").values_list("title", "size") == [("first", 10), ("second", 1)]


async def test_write_of_an_expression_is_left_to_the_database(scope):
    assert await Note.filter(size=10).update(size=F("size") + 1) == 1
    assert await Note.exists(size=11)


async def test_value_is_not_shown_in_the_error(scope):
    with pytest.raises(ValidationError) as refused:
        await Slug.create(slug="secret\0", value="x")
    assert "secret" not in str(refused.value)
