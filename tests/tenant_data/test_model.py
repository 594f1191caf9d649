"""The wall between sites: every door of the ORM, tried with two tenants."""

import asyncio

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.database.location import Location
from addonkit.errors import CrossTenantWrite, TenantMissing
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.model import TenantModel
from addonkit.tenant_data.scope import current_tenant, in_open_transaction, tenant_scope
from addonkit.testing.databases import create_tables, database_settings, on_postgresql, run_sql
from tortoise.exceptions import DoesNotExist, IntegrityError
from tortoise.expressions import F, Q, Subquery
from tortoise.functions import Count, Sum
from tortoise.query_utils import Prefetch
from tortoise.transactions import in_transaction

from tests.support.notes import APPS
from tests.support.notes.models import Link, Note, Pin, Slug


def tenant(number):
    url = f"https://{number}.atlassian.net"
    return Tenant(number, f"site-{number}", "jira", url, url, TenantState.ENABLED)


MINE, THEIRS = tenant(1), tenant(2)


@pytest.fixture
async def notes(tmp_path):
    """Two notes for each of two sites; the scope of the first one is for the tests to enter."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        made = {}
        for site in (MINE, THEIRS):
            with tenant_scope(site):
                note = await Note.create(title="first", size=10 * site.id)
                await Note.create(title="second", open=False)
                await Link.create(note=note, text="link")
                await Pin.create(note=note)
                await Slug.create(slug="same", value=f"of {site.id}")
                made[site.id] = note
        yield made


async def all_titles_of_theirs():
    with tenant_scope(THEIRS):
        return sorted(await Note.all().values_list("title", "size"))


UNTOUCHED = [("first", 20), ("second", 1)]


def test_tenant_scope_is_empty_outside_of_a_block():
    with pytest.raises(TenantMissing, match="no tenant is in scope"):
        current_tenant()


def test_tenant_scope_ends_with_its_block():
    with tenant_scope(MINE):
        assert current_tenant() is MINE
        with tenant_scope(THEIRS):
            assert current_tenant() is THEIRS
        assert current_tenant() is MINE
    with pytest.raises(TenantMissing):
        current_tenant()


async def test_tenant_scope_is_separate_in_concurrent_tasks():
    async def stay(site):
        with tenant_scope(site):
            await asyncio.sleep(0)
            return current_tenant().id

    assert await asyncio.gather(*(stay(tenant(number)) for number in range(9))) == list(range(9))


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
}


@pytest.mark.parametrize("door", WITHOUT_SCOPE)
async def test_query_without_a_tenant_scope_is_refused(notes, door):
    with pytest.raises(TenantMissing):
        await WITHOUT_SCOPE[door]()


@pytest.mark.parametrize("door", ["delete", "refresh", "save"])
async def test_write_without_a_tenant_scope_is_refused(notes, door):
    row = notes[1]
    with pytest.raises(TenantMissing):
        await {"delete": row.delete, "refresh": row.refresh_from_db, "save": row.save}[door]()


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
    "update": (lambda: Note.all().update(size=5), 2),
    "delete": (lambda: Note.filter(title="second").delete(), 1),
}


@pytest.mark.parametrize("door", READS)
async def test_query_is_filtered_by_the_current_tenant(notes, door):
    query, expected = READS[door]
    with tenant_scope(MINE):
        assert await query() == expected
    assert await all_titles_of_theirs() == UNTOUCHED


async def test_query_by_many_keys_gives_own_rows_only(notes):
    with tenant_scope(MINE):
        assert list(await Note.in_bulk([notes[1].id, notes[2].id], "id")) == [notes[1].id]


@pytest.mark.parametrize("door", [lambda key: Note.get(id=key), lambda key: Note[key]])
async def test_row_of_another_tenant_does_not_exist(notes, door):
    with tenant_scope(MINE), pytest.raises((DoesNotExist, KeyError)):
        await door(notes[2].id)


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


async def test_row_gets_the_current_tenant(notes):
    with tenant_scope(MINE):
        assert (await Note.create(title="x")).tenant_id == 1
        row, made = await Note.get_or_create(title="y")
        assert (row.tenant_id, made) == (1, True)
        row, made = await Note.update_or_create({"size": 7}, title="z")
        assert (row.tenant_id, row.size, made) == (1, 7, True)
        await Note.bulk_create([Note(title="w")])
        assert (await Note.get(title="w")).tenant_id == 1
        assert (await notes[1].links.create(text="new")).tenant_id == 1


async def test_get_or_create_creates_what_another_tenant_has(notes):
    with tenant_scope(MINE):
        row, made = await Note.get_or_create({"title": "own"}, size=20)
        assert (made, row.tenant_id) == (True, 1)
        row, made = await Note.update_or_create({"title": "changed"}, size=20)
        assert (made, row.tenant_id) == (False, 1)
    assert await all_titles_of_theirs() == UNTOUCHED


@pytest.mark.parametrize("owner", [2, F("id")])
@pytest.mark.parametrize(
    "door",
    [
        lambda owner: Note.create(title="x", tenant_id=owner),
        lambda owner: Note(title="x", tenant_id=owner).save(),
        lambda owner: Note.bulk_create([Note(title="x", tenant_id=owner)]),
    ],
)
async def test_create_for_another_tenant_is_refused(notes, door, owner):
    with tenant_scope(MINE), pytest.raises((CrossTenantWrite, TypeError)):
        await door(owner)
    assert await all_titles_of_theirs() == UNTOUCHED


@pytest.mark.parametrize("door", ["get_or_create", "update_or_create"])
async def test_get_or_create_for_another_tenant_is_refused(notes, door):
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await getattr(Note, door)(tenant_id=2, title="first")
    assert await all_titles_of_theirs() == UNTOUCHED


def forged(key):
    """A row that says it is ours and carries another's key."""
    return Note.construct(_saved_in_db=True, id=key, tenant_id=1, title="stolen", size=0, open=True)


WRITES = {
    "save of a row read elsewhere": lambda row: row.save(),
    "save of some columns": lambda row: row.save(update_fields=["title"]),
    "forced save": lambda row: row.save(force_update=True),
    "delete": lambda row: row.delete(),
    "refresh": lambda row: row.refresh_from_db(),
    "bulk_update": lambda row: Note.bulk_update([row], ["title"]),
    "update_from_dict": lambda row: row.update_from_dict({"title": "stolen"}).save(),
    "update_from_dict with a tenant": lambda row: row.update_from_dict({"tenant_id": 1}).save(),
    "clone with its key": lambda row: row.clone(pk=row.pk).save(force_update=True),
    "forged": lambda row: forged(row.id).save(),
    "forged delete": lambda row: forged(row.id).delete(),
    "forged refresh": lambda row: forged(row.id).refresh_from_db(),
    "forged bulk_update": lambda row: Note.bulk_update([forged(row.id)], ["title"]),
    "never read, forced": lambda row: Note(id=row.id, title="stolen").save(force_update=True),
    "never read, some columns": lambda row: Note(id=row.id, title="stolen").save(update_fields=["title"]),
    "never read, columns from a generator": lambda row: Note(id=row.id, title="s").save(update_fields=iter(["title"])),
    "never read, bulk": lambda row: Note.bulk_update([Note(id=row.id, title="stolen")], ["title"]),
}


@pytest.mark.parametrize("door", WRITES)
async def test_write_to_another_tenants_row_is_refused(notes, door):
    notes[2].title = "stolen"
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await WRITES[door](notes[2])
    assert await all_titles_of_theirs() == UNTOUCHED


@pytest.mark.parametrize("door", ["save", "delete", "refresh_from_db"])
async def test_write_with_another_rows_primary_key_is_refused(notes, door):
    row = notes[1]
    row.id = notes[2].id
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="primary key was changed"):
        await getattr(row, door)()
    assert await all_titles_of_theirs() == UNTOUCHED


async def test_insert_with_an_existing_primary_key_is_a_database_error(notes):
    with tenant_scope(MINE), pytest.raises(IntegrityError):
        await Note.create(id=notes[2].id, title="stolen")
    assert await all_titles_of_theirs() == UNTOUCHED


@pytest.mark.parametrize("owner", [2, F("id"), None])
async def test_write_with_a_changed_tenant_is_refused(notes, owner):
    notes[1].tenant_id = owner
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await notes[1].save()


@pytest.mark.parametrize(
    "door",
    [
        lambda row: Note.filter(id=row.id).update(tenant_id=2),
        lambda row: Note.all().bulk_update([row], ["tenant_id"]),
        lambda _: Note.bulk_create([Note(title="x")], update_fields=["tenant_id"], on_conflict=["id", "tenant_id"]),
    ],
)
async def test_update_of_tenant_id_is_refused(notes, door):
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="a row stays with its tenant"):
        await door(notes[1])


async def test_upsert_without_tenant_id_in_on_conflict_is_refused(notes):
    rows = [Note(id=notes[2].id, title="stolen")]
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="on_conflict"):
        await Note.bulk_create(rows, update_fields=["title"], on_conflict=["id"])
    assert await all_titles_of_theirs() == UNTOUCHED


async def test_upsert_with_tenant_id_updates_the_own_row_only(notes):
    with tenant_scope(MINE):
        await Slug.bulk_create(
            [Slug(slug="same", value="new")], update_fields=["value"], on_conflict=["tenant_id", "slug"]
        )
        assert await Slug.all().values_list("value", flat=True) == ["new"]
    with tenant_scope(THEIRS):
        assert await Slug.all().values_list("value", flat=True) == ["of 2"]


def with_expression(link):
    link.note_id = F("id")
    return link


LINKS = {
    "create by number": lambda note, _: Link.create(note_id=note.id),
    "create by row": lambda note, _: Link.create(note=note),
    "save": lambda note, _: Link(note_id=note.id).save(),
    "change": lambda note, link: link.update_from_dict({"note_id": note.id}).save(),
    "change some columns": lambda note, link: link.update_from_dict({"note": note}).save(update_fields=["note_id"]),
    "an expression": lambda _, link: with_expression(link).save(),
    "update by number": lambda note, _: Link.all().update(note_id=note.id),
    "update by row": lambda note, _: Link.all().update(note=note),
    "update by an expression": lambda *_: Link.all().update(note_id=F("id")),
    "bulk_create": lambda note, _: Link.bulk_create([Link(note_id=note.id)]),
    "bulk_update": lambda note, link: Link.bulk_update([link.update_from_dict({"note_id": note.id})], ["note_id"]),
    "get_or_create": lambda note, _: Link.get_or_create(note_id=note.id),
    "one to one": lambda note, _: Pin.create(note_id=note.id),
    "reverse": lambda note, _: note.links.create(text="x"),
}


@pytest.mark.parametrize("door", LINKS)
async def test_relation_to_another_tenants_row_is_refused(notes, door):
    with tenant_scope(MINE):
        link = await Link.get()
        with pytest.raises(CrossTenantWrite, match="refers to a 'Note'"):
            await LINKS[door](notes[2], link)


@pytest.mark.parametrize("step", ["save", "refresh"])
async def test_relation_is_checked_after_a_partial_save(notes, step):
    with tenant_scope(MINE):
        link = await Link.get()
        link.note_id = notes[2].id
        await (link.save(update_fields=["text"]) if step == "save" else link.refresh_from_db(["text"]))
        with pytest.raises(CrossTenantWrite, match="refers to a 'Note'"):
            await link.save()


async def test_relation_within_the_tenant_is_written(notes):
    with tenant_scope(MINE):
        other = await Note.get(title="second")
        link = await Link.get()
        link.note = other
        await link.save()
        await Link.all().update(note_id=notes[1].id)
        await Link.bulk_create([Link(note_id=other.id), Link(note=None)])
        link.note_id = None
        await Link.bulk_update([link], ["note_id"])
        assert sorted(await Link.all().values_list("note_id", flat=True), key=str) == [other.id, None, None]


async def test_row_of_the_tenant_is_read_changed_and_deleted(notes):
    with tenant_scope(MINE):
        row = await Note.get(title="first")
        row.title = "changed"
        await row.save()
        await row.refresh_from_db()
        row.size = 3
        await row.save(update_fields=["size"])
        await Note.bulk_update([row], ["size"])
        copy = row.clone()
        await copy.save()
        assert (copy.tenant_id, copy.id != row.id) == (1, True)
        await row.delete()
        assert await Note.filter(title="changed").values_list("size", flat=True) == [3]


async def test_row_read_in_part_can_be_saved_in_part(notes):
    with tenant_scope(MINE):
        row = await Note.filter(title="first").only("id", "title").get()
        row.title = "changed"
        await row.save(update_fields=["title"])
        assert await Note.exists(title="changed")


async def test_row_deleted_elsewhere_does_not_exist(notes):
    with tenant_scope(MINE):
        row = await Note.get(title="first")
        await Note.filter(id=row.id).delete()
        with pytest.raises(DoesNotExist):
            await row.refresh_from_db()


async def test_query_keeps_the_tenant_of_its_scope(notes):
    with tenant_scope(MINE):
        query = Note.all()
    with tenant_scope(THEIRS):
        if on_postgresql():
            assert await query == []
            return
        with pytest.raises(CrossTenantWrite):
            await query


async def test_tenant_scope_of_another_tenant_in_a_transaction_is_refused(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            with pytest.raises(TenantMissing, match="inside an open transaction"), tenant_scope(THEIRS):
                pass


async def test_tenant_scope_first_entered_in_a_transaction_is_refused(notes):
    async with in_transaction():
        with pytest.raises(TenantMissing, match="of no tenant"), tenant_scope(MINE):
            pass


async def test_tenant_scope_of_the_same_tenant_in_a_transaction_is_allowed(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            with tenant_scope(MINE):
                await Note.create(title="inner")


async def test_tenant_scope_of_another_tenant_after_a_transaction_is_allowed(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            await Note.create(title="inner")
        with tenant_scope(THEIRS):
            assert await Note.all().count() == 2


async def test_task_that_outlives_a_transaction_is_not_in_it(notes):
    seen = []

    async def outlive(ended):
        await ended.wait()
        seen.append(in_open_transaction())
        async with in_transaction():
            await Note.create(title="late")
        seen.append(await Note.all().count())

    ended = asyncio.Event()
    with tenant_scope(MINE):
        async with in_transaction():
            assert in_open_transaction()
            task = asyncio.create_task(outlive(ended))
        ended.set()
        await task
    assert seen == [False, 3]


async def test_tasks_of_two_tenants_never_mix(notes):
    async def work(site):
        for _ in range(20):
            with tenant_scope(site):
                await Note.create(title="more")
                assert {row.tenant_id for row in await Note.all()} == {site.id}

    await asyncio.gather(*(work(tenant(number)) for number in range(1, 6)))


def test_meta_that_inherits_abstract_is_refused():
    with pytest.raises(TypeError, match="inherits 'abstract'"):

        class Lost(TenantModel):
            class Meta(TenantModel.Meta):
                table = "notes_lost"
