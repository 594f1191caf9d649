"""Queries that outlive the tenant scope in which they were created."""

import pytest
from addonkit.database.location import Location
from addonkit.errors import CrossTenantWrite, TenantMissing
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.manager import TenantQuerySet
from addonkit.tenant_data.queries import BOUND, TenantBound
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings
from tortoise.expressions import Q, Subquery
from tortoise.functions import Count
from tortoise.query_utils import Prefetch
from tortoise.queryset import AwaitableQuery, FieldSelectQuery, QuerySet, UnionQuery

from tests.support.notes import APPS
from tests.support.notes.models import Link, Note
from tests.support.tenants import tenant

MINE, THEIRS = tenant(1), tenant(2)
NO_QUERY = {"explain", "get_or_create", "in_bulk", "resolve_filters", "resolve_ordering", "sql", "update_or_create"}


@pytest.fixture
async def notes(tmp_path):
    """A note with a link for each of two sites, by the site's number."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        made = {}
        for site in (MINE, THEIRS):
            with tenant_scope(site):
                made[site.id] = await Note.create(title=f"of {site.id}", size=10 * site.id)
                await Link.create(note=made[site.id], text="link")
        yield made


def subclasses(kind):
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_query_classes_of_tortoise_each_have_one_that_checks_the_scope():
    known = {one for one in subclasses(AwaitableQuery) if one.__module__.startswith("tortoise.")} | {UnionQuery}
    abstract = {AwaitableQuery, FieldSelectQuery}
    assert known - abstract - {QuerySet} == set(BOUND)
    assert all(issubclass(bound, TenantBound) and issubclass(bound, one) for one, bound in BOUND.items())
    assert issubclass(TenantQuerySet, TenantBound)


MADE = {
    "annotate": lambda rows, _: rows.annotate(n=Count("links")),
    "all": lambda rows, _: rows.all(),
    "bulk_create": lambda rows, _: rows.bulk_create([Note(title="x")]),
    "bulk_update": lambda rows, note: rows.bulk_update([note], ["title"]),
    "contains": lambda rows, note: rows.contains(note),
    "count": lambda rows, _: rows.count(),
    "delete": lambda rows, _: rows.delete(),
    "distinct": lambda rows, _: rows.distinct(),
    "earliest": lambda rows, _: rows.earliest("id"),
    "exclude": lambda rows, _: rows.exclude(size=0),
    "exists": lambda rows, _: rows.exists(),
    "filter": lambda rows, _: rows.filter(size__gt=0),
    "first": lambda rows, _: rows.first(),
    "force_index": lambda rows, _: rows.force_index("x"),
    "get": lambda rows, _: rows.get(size=20),
    "get_or_none": lambda rows, _: rows.get_or_none(size=20),
    "group_by": lambda rows, _: rows.annotate(n=Count("id")).group_by("size").values("size", "n"),
    "last": lambda rows, _: rows.last(),
    "latest": lambda rows, _: rows.latest("id"),
    "limit": lambda rows, _: rows.limit(3),
    "offset": lambda rows, _: rows.offset(0),
    "only": lambda rows, _: rows.only("title"),
    "order_by": lambda rows, _: rows.order_by("id"),
    "prefetch_related": lambda rows, _: rows.prefetch_related("links"),
    "raw": lambda rows, _: rows.raw("SELECT id, title FROM notes_note"),
    "select_for_update": lambda rows, _: rows.select_for_update(),
    "select_related": lambda rows, _: rows.select_related("pin"),
    "union": lambda rows, _: rows.union(rows),
    "update": lambda rows, _: rows.update(title="stolen"),
    "use_index": lambda rows, _: rows.use_index("x"),
    "using_db": lambda rows, _: rows.using_db(None),
    "values": lambda rows, _: rows.values("title"),
    "values_list": lambda rows, _: rows.values_list("title", flat=True),
}
"""One query of each method of a queryset that gives one."""
DERIVED = {
    "slice": lambda rows, _: rows[0:1],
    "values of one row": lambda rows, _: rows.first().values("title"),
    "values_list of one row": lambda rows, _: rows.first().values_list("title"),
    "union count": lambda rows, _: rows.union(rows).count(),
    "union in order": lambda rows, _: rows.union(rows).order_by("title"),
    "union limit": lambda rows, _: rows.union(rows, all=True).limit(1).offset(0),
    "union of three": lambda rows, _: rows.union(rows).union(rows),
    "aggregate": lambda rows, _: rows.annotate(n=Count("id")).values_list("n", flat=True),
    "values over a relation": lambda rows, _: rows.values("links__text"),
    "update with a join": lambda rows, _: rows.filter(links__text="link").update(title="stolen"),
    "delete with a join": lambda rows, _: rows.filter(links__text="link").delete(),
    "distinct count": lambda rows, _: rows.distinct().count(),
}
KEPT = MADE | DERIVED
SHOWN = {
    "rows": lambda *_: Note.rows(),
    "rows by value": lambda *_: Note.rows("title", order=["-id"], limit=2, size=20),
    "rows that no row can be": lambda *_: Note.rows("title", size=2**70),
}
"""Queries of named tuples, which a model gives and not a queryset."""
ALL = KEPT | SHOWN


def test_methods_of_a_queryset_are_all_known():
    public = {name for name in dir(QuerySet) if not name.startswith("_") and callable(getattr(QuerySet, name))}
    assert public - NO_QUERY == set(MADE)


async def stored():
    with tenant_scope(THEIRS):
        return await Note.all().order_by("id").values_list("title", "size")


@pytest.mark.parametrize("kind", ALL)
async def test_query_that_was_kept_is_refused_in_another_tenants_scope(notes, kind):
    with tenant_scope(THEIRS):
        query = ALL[kind](Note.all(), notes[2])
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match=r"scope of tenant 2 was executed in .* tenant 1"):
        await query
    assert await stored() == [("of 2", 20)]


class Begun:
    """The execution of a query that was asked for, and has not run yet."""

    def __init__(self, query):
        self.execution = query.__await__()

    def __await__(self):
        return (yield from self.execution)


@pytest.mark.parametrize("kind", ALL)
async def test_execution_that_was_kept_is_refused_in_another_tenants_scope(notes, kind):
    with tenant_scope(THEIRS):
        begun = Begun(ALL[kind](Note.all(), notes[2]))
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await begun
    assert await stored() == [("of 2", 20)]


@pytest.mark.parametrize("kind", KEPT)
async def test_query_of_a_kept_queryset_is_refused_in_another_tenants_scope(notes, kind):
    with tenant_scope(THEIRS):
        rows = Note.all()
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await KEPT[kind](rows, notes[1])
    assert await stored() == [("of 2", 20)]


@pytest.mark.parametrize("kind", ALL)
async def test_query_that_was_kept_is_refused_outside_of_every_scope(notes, kind):
    with tenant_scope(THEIRS):
        query = ALL[kind](Note.all(), notes[2])
    with pytest.raises(TenantMissing):
        await query
    assert await stored() == [("of 2", 20)]


@pytest.mark.parametrize("kind", sorted(ALL))
async def test_query_that_was_kept_executes_in_its_tenants_scope(notes, kind):
    with tenant_scope(THEIRS):
        query = ALL[kind](Note.all(), notes[2])
    with tenant_scope(MINE):
        pass
    with tenant_scope(THEIRS):
        await query


async def iterate(query):
    return [row async for row in query]


USES = {
    "subquery": lambda kept: Note.filter(id__in=Subquery(kept.values("id"))),
    "subquery of not": lambda kept: Note.filter(~Q(id__in=Subquery(kept.values_list("id")))).count(),
    "subquery as a column": lambda kept: Note.annotate(n=Subquery(kept.count())).values("n"),
    "subquery in an update": lambda kept: Note.filter(id__in=Subquery(kept.values("id"))).update(size=1),
    "subquery in a delete": lambda kept: Note.filter(id__in=Subquery(kept.values("id"))).delete(),
    "union with own": lambda kept: Note.all().union(kept),
    "iteration": lambda kept: iterate(kept),
    "iteration over values": lambda kept: iterate(kept.values("title")),
    "in_bulk": lambda kept: kept.in_bulk([1, 2], "id"),
    "prefetch": lambda kept: Link.all().prefetch_related(Prefetch("note", queryset=kept)),
    "explain": lambda kept: kept.explain(),
}


@pytest.mark.parametrize("use", USES)
async def test_query_that_was_kept_is_refused_as_a_part_of_another(notes, use):
    with tenant_scope(THEIRS):
        kept = Note.all()
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await USES[use](kept)
    assert await stored() == [("of 2", 20)]


async def test_query_that_was_kept_and_executed_is_refused_afterwards(notes):
    with tenant_scope(THEIRS):
        query = Note.all().values("title")
        assert await query == [{"title": "of 2"}]
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await query


async def test_query_set_made_by_hand_is_filtered(notes):
    with tenant_scope(MINE):
        assert await TenantQuerySet(Note).values_list("title", flat=True) == ["of 1"]


@pytest.mark.parametrize(
    "make", [lambda: Note.all().values("title"), lambda: Note.rows("title")], ids=["values", "rows"]
)
async def test_query_of_another_addon_is_refused(notes, tmp_path, make):
    with tenant_scope(MINE):
        query = make()
    (tmp_path / "other").mkdir()
    location = Location(f"sqlite://{tmp_path}/other/addonkit.db")
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
            await query
