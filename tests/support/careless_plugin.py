"""A plugin that never filters by tenant: each of its queries reads or changes as many rows as it can.

A query returns the titles of the notes that it read or changed; a title names the tenant that owns the note.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from addonkit import Plugin
from tortoise.connection import get_connection
from tortoise.expressions import Q, Subquery
from tortoise.functions import Count
from tortoise.query_utils import Prefetch
from tortoise.transactions import in_transaction

from tests.support.notes.models import Link, Note, Pin

plugin = Plugin("notes", __name__, models="tests.support.notes.models")

Query = Callable[[], Awaitable[Any]]


@plugin.page
async def query(name: str = "") -> dict[str, list[str]]:
    """Run the query with this name."""
    return {"seen": sorted({str(title) for title in await {**READING, **WRITING, **RAW}[name]()})}


async def titles(rows: Awaitable[Any]) -> list[str]:
    """Return the titles of notes."""
    return [row["title"] if isinstance(row, dict) else row.title for row in await rows]


async def guessed_ids() -> list[Any]:
    """Return the ids of all notes of all tenants, as an attacker would guess them."""
    return list(range(1, 50))


async def first_of_each() -> list[str]:
    return [note.title for key in await guessed_ids() if (note := await Note.get_or_none(id=key))]


async def by_item() -> list[str]:
    found = []
    for key in await guessed_ids():
        try:
            found.append((await Note[key]).title)
        except KeyError:
            continue
    return found


async def in_bulk() -> list[str]:
    return [note.title for note in (await Note.in_bulk(await guessed_ids(), "id")).values()]


async def iterated() -> list[str]:
    return [note.title async for note in Note.all()]


async def prefetched() -> list[str]:
    notes = await Note.all().prefetch_related("links", Prefetch("pin", Pin.all()))
    return [link.text for note in notes for link in note.links] + [note.title for note in notes]


async def joined() -> list[str]:
    return [link.note.title for link in await Link.all().select_related("note")]


async def fetched_later() -> list[str]:
    links = await Link.all()
    for link in links:
        await link.fetch_related("note")
    return [link.note.title for link in links]


async def reverse_managers() -> list[str]:
    return [link.text for note in await Note.all() for link in await note.links.all()]


async def grouped() -> list[str]:
    rows = await Note.annotate(n=Count("links")).group_by("title").values("title", "n")
    return [row["title"] for row in rows]


async def within_a_transaction() -> list[str]:
    async with in_transaction():
        outer = await titles(Note.all())
        async with in_transaction():
            return outer + await titles(Note.filter(id__gt=0))


async def owners() -> list[str]:
    return [str(note.tenant_id) for note in await Note.all()]


async def shown_within_a_transaction() -> list[str]:
    async with in_transaction():
        outer = await titles(Note.rows())
        async with in_transaction():
            return outer + await titles(Note.rows("title", order="-id", limit=1))


async def shown_by_id() -> list[str]:
    return [row.title for key in await guessed_ids() for row in await Note.rows("title", id=key)]


async def shown_of_each_tenant() -> list[str]:
    return [row.title for number in range(1, 10) for row in await Note.rows("title", tenant_id=number)]


async def got_or_created() -> list[str]:
    note, _ = await Note.get_or_create({"title": "made"}, size=20)
    return [note.title]


READING: dict[str, Query] = {
    "all": lambda: titles(Note.all()),
    "filter": lambda: titles(Note.filter(id__gt=0)),
    "filter by tenant": lambda: titles(Note.filter(tenant_id__gt=0)),
    "filter either": lambda: titles(Note.filter(Q(tenant_id=1) | Q(tenant_id=2) | Q(size__gte=0))),
    "exclude": lambda: titles(Note.exclude(title="")),
    "get each": first_of_each,
    "item": by_item,
    "in_bulk": in_bulk,
    "iterate": iterated,
    "values": lambda: titles(Note.all().values("title")),
    "values_list": lambda: Note.all().values_list("title", flat=True),
    "related values": lambda: Link.all().values_list("note__title", flat=True),
    "annotate": grouped,
    "prefetch": prefetched,
    "select_related": joined,
    "fetch_related": fetched_later,
    "related managers": reverse_managers,
    "subquery": lambda: titles(Note.filter(id__in=Subquery(Link.all().values("note_id")))),
    "own manager": lambda: titles(Note.opened.all()),
    "transaction": within_a_transaction,
    "owners": owners,
    "rows": lambda: titles(Note.rows()),
    "rows of one column": lambda: titles(Note.rows("title")),
    "rows by value": lambda: titles(Note.rows("title", order=["-size"], open=True)),
    "rows by tenant": shown_of_each_tenant,
    "rows by id": shown_by_id,
    "rows in a transaction": shown_within_a_transaction,
    "get_or_create": got_or_created,
}


async def after(*changes: Awaitable[Any]) -> list[str]:
    """Run changes and return the titles of the notes afterwards."""
    for change in changes:
        await change
    return await titles(Note.all())


async def saved_each() -> list[str]:
    for note in await Note.all():
        note.size = 99
        await note.save()
    return await titles(Note.filter(size=99))


async def bulk_updated() -> list[str]:
    notes = await Note.all()
    for note in notes:
        note.size = 99
    await Note.bulk_update(notes, ["size"])
    return await titles(Note.filter(size=99))


async def deleted_each() -> list[str]:
    return [(await note.delete()) or note.title for note in await Note.all()]


async def created() -> list[str]:
    """Create notes in every way; the test checks the owner of the rows directly in the database."""
    await Note.create(title="made")
    await Note.bulk_create([Note(title="made"), Note(title="made")])
    await Note.update_or_create({"size": 3}, title="made too")
    return await Note.filter(title__startswith="made").values_list("title", flat=True)


WRITING: dict[str, Query] = {
    "update": lambda: after(Note.all().update(size=99)),
    "update or": lambda: after(Note.filter(Q(id__gt=0) | Q(tenant_id=2)).update(size=99)),
    "save each": saved_each,
    "bulk_update": bulk_updated,
    "delete": lambda: after(Pin.all().delete(), Link.all().delete(), Note.all().delete()),
    "delete each": deleted_each,
    "create": created,
}


async def sql(statement: str, *values: Any) -> list[str]:
    """Run one SQL statement and return the titles in its rows."""
    _, rows = await get_connection("default").execute_query(statement, list(values))
    return [row["title"] for row in rows]


async def scripted(script: str) -> list[str]:
    await get_connection("default").execute_script(script)
    return await sql("SELECT title FROM notes_note")


async def sql_in_a_transaction() -> list[str]:
    async with in_transaction() as connection:
        await connection.execute_query("UPDATE notes_note SET size = 99")
        return [row["title"] for row in await connection.execute_query_dict("SELECT * FROM notes_note")]


async def sql_many() -> list[str]:
    await get_connection("default").execute_many("UPDATE notes_note SET size = $1", [[98], [99]])
    return await sql("SELECT title FROM notes_note")


RAW: dict[str, Query] = {
    "sql: raw()": lambda: titles(Note.raw("SELECT * FROM notes_note")),
    "sql: select": lambda: sql("SELECT * FROM notes_note"),
    "sql: select by number": lambda: sql("SELECT * FROM notes_note WHERE tenant_id = ANY($1)", [1, 2]),
    "sql: join": lambda: sql("SELECT n.title FROM notes_link l JOIN notes_note n ON true"),
    "sql: sub-select": lambda: sql("SELECT title FROM (SELECT * FROM notes_note) AS everybodys"),
    "sql: with": lambda: sql("WITH every AS (SELECT * FROM notes_note) SELECT title FROM every"),
    "sql: union of another's": lambda: sql("SELECT title FROM notes_note UNION SELECT text FROM notes_link"),
    "sql: update": lambda: sql("WITH u AS (UPDATE notes_note SET size = 99 RETURNING title) SELECT * FROM u"),
    "sql: delete": lambda: sql("WITH d AS (DELETE FROM notes_slug RETURNING value AS title) SELECT * FROM d"),
    "sql: script": lambda: scripted("UPDATE notes_note SET size = 99; DELETE FROM notes_pin"),
    "sql: transaction": sql_in_a_transaction,
    "sql: many": sql_many,
}
