"""The tenant manager: every query is filtered by the current tenant."""

import pytest
from addonkit.errors import CrossTenantWrite, TenantMissing
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import on_postgresql, run_sql
from tortoise.exceptions import DoesNotExist
from tortoise.expressions import Q, Subquery
from tortoise.functions import Count, Sum
from tortoise.query_utils import Prefetch

from tests.support.notes.models import Link, Note, Slug
from tests.support.tenants import tenant

MINE, OTHER = tenant(1), tenant(2)
OTHER_ROWS = [("first", 20), ("second", 1)]


async def other_tenants_rows():
    with tenant_scope(OTHER):
        return sorted(await Note.all().values_list("title", "size"))


WITHOUT_SCOPE = {
    "all": lambda: Note.all(),
    "filter": lambda: Note.filter(id=1),
    "exclude": lambda: Note.exclude(id=1),
    "get": lambda: Note.get(id=1),
    "get_or_none": lambda: Note.get_or_none(id=1),
    "first": lambda: Note.first(),
    "last": lambda: Note.last(),
    "latest": lambda: Note.latest("id"),
    "earliest": lambda: Note.earliest("id"),
    "exists": lambda: Note.exists(id=1),
    "in_bulk": lambda: Note.in_bulk([1], "id"),
    "annotate": lambda: Note.annotate(n=Count("links")),
    "get_or_create": lambda: Note.get_or_create(title="x"),
    "update_or_create": lambda: Note.update_or_create(title="x"),
    "select_for_update": lambda: Note.select_for_update(),
    "bulk_create": lambda: Note.bulk_create([Note(title="x")]),
    "bulk_update": lambda: Note.bulk_update([Note(id=1, title="x")], ["title"]),
    "create": lambda: Note.create(title="x"),
    "save": lambda: Note(title="x").save(),
    "raw": lambda: Note.raw("SELECT * FROM notes_note"),
    "own manager": lambda: Note.opened.all(),
    "item": lambda: Note[1],
    "rows": lambda: Note.rows(),
    "rows by value": lambda: Note.rows("title", order=["id"], limit=1, size=20),
    "rows of an unknown field": lambda: Note.rows("titel"),
}


@pytest.mark.parametrize("operation", WITHOUT_SCOPE)
async def test_query_without_a_tenant_scope_is_refused(notes, operation):
    with pytest.raises(TenantMissing):
        await WITHOUT_SCOPE[operation]()


READS = {
    "all": (lambda: Note.all().values_list("size", flat=True), [10, 1]),
    "filter or": (lambda: Note.filter(Q(size=20) | Q(size=10)).values_list("size", flat=True), [10]),
    "filter not": (lambda: Note.filter(~Q(size=10)).values_list("size", flat=True), [1]),
    "exclude": (lambda: Note.exclude(size=10).values_list("size", flat=True), [1]),
    "tenant named": (lambda: Note.filter(tenant_id=2), []),
    "tenant either": (lambda: Note.filter(Q(tenant_id=2) | Q(tenant_id=1)).count(), 2),
    "count": (lambda: Note.all().count(), 2),
    "exists": (lambda: Note.exists(size=20), False),
    "get_or_none": (lambda: Note.get_or_none(size=20), None),
    "first": (lambda: Note.filter(size=20).first(), None),
    "aggregate": (lambda: Note.annotate(total=Sum("size")).group_by("tenant_id").values_list("total", flat=True), [11]),
    "values": (lambda: Note.all().order_by("id").values("size"), [{"size": 10}, {"size": 1}]),
    "own manager": (lambda: Note.opened.all().values_list("size", flat=True), [10]),
    "related filter": (lambda: Note.filter(links__text="link").values_list("size", flat=True), [10]),
    "related values": (lambda: Link.all().values_list("note__size", flat=True), [10]),
    "related count": (lambda: Note.annotate(n=Count("links")).order_by("id").values_list("n", flat=True), [1, 0]),
    "subquery": (
        lambda: Note.filter(id__in=Subquery(Link.all().values("note_id"))).values_list("size", flat=True),
        [10],
    ),
    "union": (lambda: Note.filter(size=20).union(Note.filter(size=20)), []),
    "rows": (lambda: Note.rows("size", order=["id"]), [(10,), (1,)]),
    "rows by value": (lambda: Note.rows("size", size=20), []),
    "rows with tenant named": (lambda: Note.rows("size", tenant_id=2), []),
    "rows of a relation's key": (lambda: Link.rows("text", note_id=1), [("link",)]),
    "update": (lambda: Note.all().update(size=5), 2),
    "delete": (lambda: Note.filter(title="second").delete(), 1),
}


@pytest.mark.parametrize("operation", READS)
async def test_query_is_filtered_by_the_current_tenant(notes, operation):
    query, expected = READS[operation]
    with tenant_scope(MINE):
        assert await query() == expected
    assert await other_tenants_rows() == OTHER_ROWS


async def test_query_by_many_keys_gives_own_rows_only(notes):
    with tenant_scope(MINE):
        assert list(await Note.in_bulk([notes[1].id, notes[2].id], "id")) == [notes[1].id]


@pytest.mark.parametrize("operation", [lambda key: Note.get(id=key), lambda key: Note[key]])
async def test_row_of_another_tenant_does_not_exist(notes, operation):
    with tenant_scope(MINE), pytest.raises((DoesNotExist, KeyError)):
        await operation(notes[2].id)


async def test_relation_of_another_tenants_row_is_empty(notes):
    with tenant_scope(MINE):
        assert await notes[2].links.all() == []
        assert await notes[2].pin is None
        await notes[2].fetch_related("links")
        assert list(notes[2].links) == []


async def test_prefetch_is_filtered_by_the_current_tenant(notes):
    with tenant_scope(MINE):
        rows = await Note.all().prefetch_related("links", "pin").order_by("id")
        assert [len(row.links) for row in rows] == [1, 0]
        rows = await Note.all().prefetch_related(Prefetch("links", Link.filter(text="link"))).order_by("id")
        assert [link.tenant_id for row in rows for link in row.links] == [1]


async def test_join_reads_own_rows(notes):
    with tenant_scope(MINE):
        link = await Link.all().select_related("note").get()
        assert link.note.size == 10


async def test_join_to_another_tenants_row_is_refused(notes, tmp_path):
    run_sql(tmp_path, "UPDATE notes_link SET note_id = ? WHERE tenant_id = 1", notes[2].id)
    with tenant_scope(MINE):
        if on_postgresql():
            assert [link.note for link in await Link.all().select_related("note")] == [None]
            return
        with pytest.raises(CrossTenantWrite):
            await Link.all().select_related("note")


async def test_raw_query_gives_no_row_of_another_tenant(notes):
    with tenant_scope(MINE):
        if on_postgresql():
            assert {note.tenant_id for note in await Note.raw("SELECT * FROM notes_note")} == {1}
            return
        with pytest.raises(CrossTenantWrite):
            await Note.raw("SELECT * FROM notes_note")


@pytest.mark.parametrize(
    "operation",
    [
        lambda row: Note.filter(id=row.id).update(tenant_id=2),
        lambda row: Note.all().bulk_update([row], ["tenant_id"]),
        lambda _: Note.bulk_create([Note(title="x")], update_fields=["tenant_id"], on_conflict=["id", "tenant_id"]),
    ],
)
async def test_update_of_tenant_id_is_refused(notes, operation):
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="a row stays with its tenant"):
        await operation(notes[1])


async def test_upsert_without_tenant_id_in_on_conflict_is_refused(notes):
    rows = [Note(id=notes[2].id, title="stolen")]
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="on_conflict"):
        await Note.bulk_create(rows, update_fields=["title"], on_conflict=["id"])
    assert await other_tenants_rows() == OTHER_ROWS


async def test_upsert_with_tenant_id_updates_the_own_row_only(notes):
    with tenant_scope(MINE):
        await Slug.bulk_create(
            [Slug(slug="same", value="new")], update_fields=["value"], on_conflict=["tenant_id", "slug"]
        )
        assert await Slug.all().values_list("value", flat=True) == ["new"]
    with tenant_scope(OTHER):
        assert await Slug.all().values_list("value", flat=True) == ["of 2"]


async def test_query_keeps_the_tenant_of_its_scope(notes):
    with tenant_scope(MINE):
        query = Note.all()
    with tenant_scope(OTHER), pytest.raises(CrossTenantWrite):
        await query
