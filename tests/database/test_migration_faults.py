"""Migrations of tables that have rows, while the previous release keeps writing."""

import asyncio
import sys

import pytest
from addonkit.database.new_migration import make_migration, released_faults
from addonkit.errors import PluginError
from addonkit.testing.databases import run_sql

OLD_INSERT = "INSERT INTO {name}_item (title, tenant_id) VALUES ('old', 1)"
TITLE = "    title = fields.CharField(50)\n"


def change(package, more="", title=TITLE, meta="", before=""):
    """Change the models of the package."""
    package.write_models(more)
    models = package.path / "models.py"
    text = models.read_text().replace(TITLE, title)
    text = text.replace('_item"\n', f'_item"\n{meta}').replace("class Item", f"{before}class Item")
    models.write_text(text.replace("NAME", package.name))


async def release(package, **models):
    """Write and apply the first release's migration, and store a row with it."""
    change(package, **models)
    await package.make_migration()
    await package.migrate()
    store_old(package)


def store_old(package, insert=OLD_INSERT):
    run_sql(package.path.parent, insert.format(name=package.name))


async def migrate_while_writing(package):
    """Migrate while a process of the previous release inserts rows; give the number of its rows."""
    began, ended, inserted = asyncio.Event(), asyncio.Event(), 0

    async def write():
        nonlocal inserted
        while not ended.is_set():
            await asyncio.to_thread(store_old, package)
            inserted += 1
            began.set()

    writer = asyncio.create_task(write())
    await began.wait()
    await package.migrate()
    ended.set()
    await writer
    store_old(package)
    return inserted + 2


PYTHON_ENUM = 'import enum\n\nclass Mood(enum.Enum):\n    GOOD = "good"\n\n'
SAFE = {
    "integer": {"more": "    size = fields.IntField(default=0)"},
    "large integer": {"more": "    size = fields.BigIntField(default=-5)"},
    "boolean": {"more": "    open = fields.BooleanField(default=True)"},
    "text with a quote": {"more": '    mood = fields.CharField(20, default="it\'s")'},
    "empty text": {"more": '    mood = fields.TextField(default="")'},
    "float": {"more": "    size = fields.FloatField(default=1.5)"},
    "decimal": {
        "before": "from decimal import Decimal\n\n",
        "more": '    size = fields.DecimalField(8, 2, default=Decimal("1.50"))',
    },
    "enumeration": {"before": PYTHON_ENUM, "more": "    mood = fields.CharEnumField(Mood, default=Mood.GOOD)"},
    "JSON": {"more": "    facts = fields.JSONField(default=dict)"},
    "JSON list": {"more": "    facts = fields.JSONField(default=[])"},
    "default of the database": {"more": "    size = fields.IntField(db_default=3)"},
    "boolean for a number": {"more": "    size = fields.IntField(default=True)"},
    "number for a boolean": {"more": "    open = fields.BooleanField(default=0)"},
    "number for a decimal": {"more": "    size = fields.DecimalField(8, 2, default=0)"},
    "unique with the primary key": {
        "more": "    size = fields.IntField(default=0)",
        "meta": '        unique_together = (("tenant_id", "id", "size"),)\n',
    },
    "nullable": {"more": "    size = fields.IntField(null=True)"},
    "nullable and unique": {"more": "    size = fields.IntField(null=True, unique=True)"},
    "nullable time": {"more": "    at = fields.DatetimeField(null=True)"},
    "relation": {"more": '    parent = fields.ForeignKeyField("NAME.Item", null=True)'},
    "index": {"title": "    title = fields.CharField(50, db_index=True)\n"},
    "wider text": {"title": "    title = fields.CharField(80)\n"},
    "unlimited text": {"title": "    title = fields.TextField()\n"},
    "nullable now": {"title": "    title = fields.CharField(50, null=True)\n"},
    "renamed, with its column": {"title": '    heading = fields.CharField(50, source_field="title")\n'},
    "unique with a new column": {
        "more": "    size = fields.IntField(null=True)",
        "meta": '        unique_together = (("tenant_id", "size"),)\n',
    },
}


@pytest.mark.parametrize("kind", SAFE)
async def test_migration_works_on_rows_while_the_previous_release_writes(package, tmp_path, kind):
    await release(package)
    change(package, **SAFE[kind])
    assert await package.make_migration() is not None
    written = await migrate_while_writing(package)
    assert run_sql(tmp_path, f"SELECT count(*) FROM {package.name}_item WHERE title = 'old'") == [(written,)]
    assert await package.make_migration() is None
    assert await released_faults(package.name, package.apps) == []


REFUSED = {
    "no default": ({"more": "    size = fields.IntField()"}, "size", "db_default=…"),
    "default by a function": (
        {"before": "import uuid\n\n", "more": "    mark = fields.UUIDField(default=uuid.uuid4)"},
        "mark",
        "null=True",
    ),
    "time of creation": ({"more": "    at = fields.DatetimeField(auto_now_add=True)"}, "at", "null=True"),
    "default that is an expression": (
        {
            "before": "from tortoise.fields.db_defaults import Now\n\n",
            "more": "    at = fields.DatetimeField(db_default=Now())",
        },
        "at",
        "use a constant",
    ),
    "relation": ({"more": '    parent = fields.ForeignKeyField("NAME.Item")'}, "parent_id", "null=True"),
    "infinite default": ({"more": '    size = fields.FloatField(default=float("inf"))'}, "size", "db_default=…"),
    "default that is no number": (
        {"more": '    size = fields.FloatField(db_default=float("nan"))'},
        "size",
        "use a constant",
    ),
    "default with NUL": ({"more": '    mood = fields.TextField(default="a\\0b")'}, "mood", "the column's type"),
    "default that is too long": (
        {"more": '    mood = fields.CharField(3, default="long")'},
        "mood",
        "the column's type",
    ),
    "default beyond 32 bits": ({"more": "    size = fields.IntField(default=2**40)"}, "size", "the column's type"),
    "default of text for a number": (
        {"more": '    size = fields.IntField(db_default="many")'},
        "size",
        "the column's type",
    ),
    "default of too many digits": (
        {"more": "    size = fields.DecimalField(4, 2, default=1000)"},
        "size",
        "the column's type",
    ),
    "renamed and wider": (
        {"title": '    heading = fields.TextField(source_field="title")\n'},
        "title",
        'source_field="title"',
    ),
    "renamed and narrower": (
        {"title": '    heading = fields.CharField(20, source_field="title")\n'},
        "title",
        "change it in the next",
    ),
    "unique with a default": ({"more": "    size = fields.IntField(default=0, unique=True)"}, "size", "unique"),
    "renamed": ({"title": "    heading = fields.CharField(50)\n"}, "title", 'source_field="title"'),
    "other column in the database": (
        {"title": '    title = fields.CharField(50, source_field="heading")\n'},
        "title",
        'source_field="title"',
    ),
    "narrower": ({"title": "    title = fields.CharField(20)\n"}, "title", "keep its size"),
    "no NULL": (
        {"more": "    kept = fields.CharField(50)\n    number = fields.BigIntField(null=True)\n"},
        "kept",
        "keep 'null=True'",
    ),
    "narrower number": ({"more": "    number = fields.IntField(null=True)\n"}, "number", "keep its size"),
    "other type": ({"more": "    number = fields.TextField(null=True)\n"}, "number", "add a new column"),
    "limited text": ({"more": "    note = fields.CharField(20, null=True)\n"}, "note", "keep its size"),
    "fewer digits": ({"more": "    price = fields.DecimalField(8, 4, null=True)\n"}, "price", "keep its size"),
    "unique": ({"title": "    title = fields.CharField(50, unique=True)\n"}, "title", "new column that is unique"),
    "unique together": ({"meta": '        unique_together = (("tenant_id", "title"),)\n'}, "title", "becomes unique"),
    "other table": ({"meta": '        table = "NAME_thing"\n'}, "_item", "keep its name"),
}
UNWRITTEN = {"infinite default", "default that is no number"}
"""Kinds of which Tortoise writes a file that cannot be imported."""
OLD = """    kept = fields.CharField(50, null=True)
    number = fields.BigIntField(null=True)
    note = fields.TextField(null=True)
    price = fields.DecimalField(8, 2, null=True)
"""


def with_old(kind):
    """The first models, and the changed ones, which differ in what the kind changes only."""
    changed, column, remedy = REFUSED[kind]
    names = [line.strip().split(" ")[0] for line in changed.get("more", "").splitlines()]
    rest = "".join(f"{line}\n" for line in OLD.splitlines() if line.strip().split(" ")[0] not in names)
    return {**changed, "more": rest + changed.get("more", "")}, column, remedy


@pytest.mark.parametrize("kind", REFUSED)
async def test_migration_that_fails_with_rows_is_refused(package, kind):
    await release(package, more=OLD)
    changed, column, remedy = with_old(kind)
    change(package, **changed)
    with pytest.raises(PluginError) as refused:
        await package.make_migration("change")
    step = "next" if kind == "other table" else "0002_change"  # Tortoise writes no step for it
    for part in (f"plugin '{package.name}'", f"step '{step}'", column, remedy, "nothing was written"):
        assert part in str(refused.value)
    assert not (package.path / "migrations" / "0002_change.py").exists()


async def force(package):
    return await make_migration(package.name, package.apps, "change", force=True)


@pytest.mark.parametrize("kind", sorted(REFUSED.keys() - {"other table", *UNWRITTEN}))
async def test_released_step_that_fails_with_rows_is_named(package, kind):
    await release(package, more=OLD)
    changed, column, _ = with_old(kind)
    change(package, **changed)
    await force(package)
    faults = await released_faults(package.name, package.apps)
    assert faults
    assert {(fault.app, fault.step) for fault in faults} == {(package.name, "0002_change")}
    text = "\n".join(fault.describe(released=True) for fault in faults)
    assert column in text
    assert "; " in text


async def test_released_step_whose_rows_are_prepared_is_not_named(package):
    await release(package)
    change(package, title="    title = fields.CharField(20)\n")
    step = await force(package)
    prepared = f"ops.RunSQL(\"UPDATE {package.name}_item SET title = 'x' WHERE length(title) > 20\"),"
    step.write_text(step.read_text().replace("operations = [\n", f"operations = [\n        {prepared}\n"))
    forget(package)
    assert await released_faults(package.name, package.apps) == []
    await migrate_while_writing(package)


def forget(package):
    for module in [name for name in sys.modules if name.startswith(f"{package.path.name}.migrations")]:
        del sys.modules[module]


@pytest.mark.parametrize("with_rows", [False, True])
async def test_released_step_is_followed_up_as_its_message_says(package, with_rows):
    """The step was applied where the table was empty, or is changed for databases that have not applied it."""
    change(package)
    await package.make_migration()
    await package.migrate()
    change(package, more="    size = fields.IntField(default=0)")
    step = await force(package)
    step.write_text(step.read_text().replace("default=0, db_default=0", "default=0").replace(", db_default=0", ""))
    forget(package)
    [fault] = await released_faults(package.name, package.apps)
    assert "add 'db_default=0'" in fault.follow_up
    if not with_rows:
        await package.migrate()
    change(package, more="    size = fields.IntField(default=0, db_default=0)")
    assert await package.make_migration("follow up") is not None
    step.write_text(step.read_text().replace("default=0", "default=0, db_default=0"))
    forget(package)
    assert await released_faults(package.name, package.apps) == []
    if with_rows:
        store_old(package)
    await package.migrate()
    store_old(package)


async def test_default_with_a_quote_is_stored_as_it_is(package, tmp_path):
    await release(package)
    change(package, more="""    mood = fields.CharField(20, default="it's; \\\\ 'so'")""")
    await package.make_migration()
    await package.migrate()
    assert run_sql(tmp_path, f"SELECT mood FROM {package.name}_item") == [("it's; \\ 'so'",)]


async def test_default_in_the_database_stays_when_the_model_changes_again(package, tmp_path):
    await release(package)
    change(package, more="    size = fields.IntField(default=0)")
    await package.make_migration()
    await package.migrate()
    change(package, more="    size = fields.IntField(default=7, db_index=True)")
    assert "db_default=0" in (await package.make_migration("index")).read_text()
    await package.migrate()
    store_old(package)
    assert run_sql(tmp_path, f"SELECT DISTINCT size FROM {package.name}_item") == [(0,)]


@pytest.mark.parametrize("app", ["addonkit", "issue_panel", "macro"])
async def test_released_steps_of_this_repository_work_with_rows(app):
    from addonkit.database.connection import AppModules

    names = {"issue_panel": "addonkit_issue_panel", "macro": "addonkit_macro"}
    apps = {name: AppModules(f"{module}.models", f"{module}.migrations") for name, module in names.items()}
    assert await released_faults(app, apps) == []
