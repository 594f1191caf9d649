"""Handlers of Tortoise's signals that change a row after it was checked."""

import pytest
from addonkit.database.location import Location
from addonkit.errors import CrossTenantWrite
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings
from tortoise.signals import Signals

from tests.support.notes import APPS
from tests.support.notes.models import Link, Note
from tests.support.tenants import tenant

MINE, THEIRS = tenant(1), tenant(2)


@pytest.fixture
async def notes(tmp_path):
    """A note with a link for each of two sites, by the site's number."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        made = {}
        for site in (MINE, THEIRS):
            with tenant_scope(site):
                made[site.id] = await Note.create(title=f"of {site.id}")
                await Link.create(note=made[site.id], text=f"of {site.id}")
        yield made


@pytest.fixture
def handler(monkeypatch):
    """Registers a function that changes a row as the handler of a signal."""

    def register(model, signal, change):
        async def handle(_, row, *args):
            change(row, *args)

        monkeypatch.setitem(model._listeners[signal], model, [handle])

    return register


async def everything():
    rows = {}
    for site in (MINE, THEIRS):
        with tenant_scope(site):
            rows[site.id] = (
                sorted(await Note.all().values_list("id", "title")),
                sorted(await Link.all().values_list("text", "note_id")),
            )
    return rows


def setting(name, value):
    def change(row, *_):
        setattr(row, name, value)

    return change


async def save(row):
    row.title = "changed"
    await row.save()


CHANGES = {
    "tenant of a new row": (lambda _: setting("tenant_id", 2), lambda _: Note.create(title="new")),
    "tenant of a row": (lambda _: setting("tenant_id", 2), save),
    "tenant of some columns": (lambda _: setting("tenant_id", 2), lambda row: row.save(update_fields=["title"])),
    "no tenant": (lambda _: setting("tenant_id", None), save),
    "tenant as text": (lambda _: setting("tenant_id", "2"), save),
    "primary key": (lambda theirs: setting("id", theirs.id), save),
    "primary key of a forced update": (
        lambda theirs: setting("id", theirs.id),
        lambda row: row.save(force_update=True),
    ),
    "no primary key": (lambda _: setting("id", None), save),
    "update_or_create": (
        lambda _: setting("tenant_id", 2),
        lambda _: Note.update_or_create({"size": 4}, title="of 1"),
    ),
    "get_or_create": (lambda _: setting("tenant_id", 2), lambda _: Note.get_or_create(title="new")),
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_handler_of_pre_save_cannot_move_a_row_to_another_tenant(notes, handler, kind):
    make_change, write = CHANGES[kind]
    before = await everything()
    handler(Note, Signals.pre_save, make_change(notes[2]))
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await write(notes[1])
    assert await everything() == before


def naming_the_relation(theirs):
    def change(row, _db, names):
        row.note_id = theirs.id
        names.append("note_id")

    return change


RELATIONS = {
    "new row": (lambda theirs: setting("note_id", theirs.id), lambda _: Link.create(text="new")),
    "row": (lambda theirs: setting("note_id", theirs.id), lambda link: link.save()),
    "by object": (lambda theirs: setting("note", theirs), lambda link: link.save()),
    "named by the handler": (naming_the_relation, lambda link: link.save(update_fields=["text"])),
    "named before": (
        lambda theirs: setting("note_id", theirs.id),
        lambda link: link.save(update_fields=["text", "note_id"]),
    ),
}


@pytest.mark.parametrize("kind", RELATIONS)
async def test_handler_of_pre_save_cannot_relate_a_row_to_another_tenants(notes, handler, kind):
    make_change, write = RELATIONS[kind]
    before = await everything()
    handler(Link, Signals.pre_save, make_change(notes[2]))
    with tenant_scope(MINE):
        link = await Link.get()
        with pytest.raises(CrossTenantWrite):
            await write(link)
    assert await everything() == before


async def test_handler_of_pre_save_cannot_turn_an_insert_into_an_update(notes, handler):
    handler(Note, Signals.pre_save, setting("id", notes[2].id))
    with tenant_scope(MINE):
        row = await Note.get()
        row.id, row.title = None, "stolen"
        await row.save()
        assert row.id not in (notes[1].id, notes[2].id)
    with tenant_scope(THEIRS):
        assert await Note.all().values_list("title", flat=True) == ["of 2"]


async def test_handler_of_pre_delete_cannot_choose_another_row(notes, handler):
    before = await everything()
    handler(Note, Signals.pre_delete, setting("id", notes[2].id))
    with tenant_scope(MINE), pytest.raises(CrossTenantWrite):
        await notes[1].delete()
    assert await everything() == before


async def test_handler_of_post_save_cannot_claim_another_tenant(notes, handler):
    before = await everything()
    handler(Note, Signals.post_save, setting("tenant_id", 2))
    with tenant_scope(MINE):
        await notes[1].save()
    with tenant_scope(THEIRS), pytest.raises(CrossTenantWrite):
        await notes[1].save()
    assert await everything() == before


async def test_handler_of_pre_save_may_fill_a_row_in(notes, handler):
    handler(Note, Signals.pre_save, setting("size", 7))
    with tenant_scope(MINE):
        row = await Note.create(title="new")
        row.title = "changed"
        await row.save()
        assert (row.tenant_id, row.size) == (1, 7)
        await row.delete()
