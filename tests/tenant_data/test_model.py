"""Tenant models: rows are created, changed and related within the current tenant only."""

import pytest
from addonkit.errors import CrossTenantWrite, TenantMissing
from addonkit.tenant_data.model import TenantModel
from addonkit.tenant_data.scope import tenant_scope
from tortoise.exceptions import DoesNotExist, IntegrityError
from tortoise.expressions import F

from tests.support.notes.models import Link, Note, Pin
from tests.support.tenants import tenant

MINE, OTHER = tenant(1), tenant(2)
OTHER_ROWS = [("first", 20), ("second", 1)]


async def other_tenants_rows():
    with tenant_scope(OTHER):
        return sorted(await Note.all().values_list("title", "size"))


@pytest.mark.parametrize("operation", ["delete", "refresh", "save"])
async def test_write_without_a_tenant_scope_is_refused(notes, operation):
    row = notes[1]
    with pytest.raises(TenantMissing):
        await {"delete": row.delete, "refresh": row.refresh_from_db, "save": row.save}[operation]()


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
    assert await other_tenants_rows() == OTHER_ROWS


@pytest.mark.parametrize("owner", [2, F("id")])
@pytest.mark.parametrize(
    "operation",
    [
        lambda owner: Note.create(title="x", tenant_id=owner),
        lambda owner: Note(title="x", tenant_id=owner).save(),
        lambda owner: Note.bulk_create([Note(title="x", tenant_id=owner)]),
    ],
)
async def test_create_for_another_tenant_is_refused(notes, operation, owner):
    with tenant_scope(MINE), pytest.raises((CrossTenantWrite, TypeError)):
        await operation(owner)
    assert await other_tenants_rows() == OTHER_ROWS


@pytest.mark.parametrize("operation", ["get_or_create", "update_or_create"])
async def test_get_or_create_for_another_tenant_is_refused(notes, operation):
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await getattr(Note, operation)(tenant_id=2, title="first")
    assert await other_tenants_rows() == OTHER_ROWS


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


@pytest.mark.parametrize("operation", WRITES)
async def test_write_to_another_tenants_row_is_refused(notes, operation):
    notes[2].title = "stolen"
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await WRITES[operation](notes[2])
    assert await other_tenants_rows() == OTHER_ROWS


@pytest.mark.parametrize("operation", ["save", "delete", "refresh_from_db"])
async def test_write_with_another_rows_primary_key_is_refused(notes, operation):
    row = notes[1]
    row.id = notes[2].id
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite, match="primary key was changed"):
        await getattr(row, operation)()
    assert await other_tenants_rows() == OTHER_ROWS


async def test_insert_with_an_existing_primary_key_is_a_database_error(notes):
    with tenant_scope(MINE), pytest.raises(IntegrityError):
        await Note.create(id=notes[2].id, title="stolen")
    assert await other_tenants_rows() == OTHER_ROWS


@pytest.mark.parametrize("owner", [2, F("id"), None])
async def test_write_with_a_changed_tenant_is_refused(notes, owner):
    notes[1].tenant_id = owner
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await notes[1].save()


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


@pytest.mark.parametrize("operation", LINKS)
async def test_relation_to_another_tenants_row_is_refused(notes, operation):
    with tenant_scope(MINE):
        link = await Link.get()
        with pytest.raises(CrossTenantWrite, match="refers to a 'Note'"):
            await LINKS[operation](notes[2], link)


@pytest.mark.parametrize("step", ["save", "refresh"])
async def test_relation_is_checked_after_a_partial_save(notes, step):
    with tenant_scope(MINE):
        link = await Link.get()
        link.note_id = notes[2].id
        await (link.save(update_fields=["text"]) if step == "save" else link.refresh_from_db(["text"]))
        with pytest.raises(CrossTenantWrite, match="refers to a 'Note'"):
            await link.save()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (None, ("stored", 7)),
        (["title"], ("stored", 99)),
        (["size"], ("changed", 7)),
        (["title", "size"], ("stored", 7)),
        ([], ("stored", 7)),
    ],
)
async def test_refresh_reads_all_fields_or_those_that_are_named(notes, fields, expected):
    with tenant_scope(MINE):
        note = await Note.get(title="first")
        await Note.filter(id=note.id).update(title="stored", size=7)
        note.title, note.size = "changed", 99
        await note.refresh_from_db(fields)
        assert (note.title, note.size) == expected


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


def test_meta_that_inherits_abstract_is_refused():
    with pytest.raises(TypeError, match="inherits 'abstract'"):

        class Lost(TenantModel):
            class Meta(TenantModel.Meta):
                table = "notes_lost"
