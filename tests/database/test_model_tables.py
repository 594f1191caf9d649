"""Models and migrations agree: in what the files of the migrations say, and in the tables that they make."""

import pytest
from addonkit.database.connection import AppModules, tortoise_config
from addonkit.database.location import Location
from addonkit.database.new_migration import Autodetector
from addonkit.testing.databases import create_tables, database_settings, on_postgresql, run_sql
from tortoise.context import TortoiseContext

PLUGINS = ("issue_panel", "macro")
APPS = {name: AppModules(f"addonkit_{name}.models", f"addonkit_{name}.migrations") for name in PLUGINS}
WITHOUT_MODEL = {"tortoise_migrations", "addonkit_job_delta"}
MADE_BY_SQL = ("addonkit_job_", "addonkit_done_job_")
"""The names of the queue's indexes, which migrations create by statements of their own, begin like this."""
COLUMNS = {
    False: """SELECT m.name, c.name, c.type, c."notnull", c.pk > 0, c.dflt_value
        FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'""",
    True: """SELECT table_name, column_name, udt_name || coalesce(character_maximum_length::text, ''),
        is_nullable = 'NO', is_identity, column_default
        FROM information_schema.columns WHERE table_schema = current_schema()""",
}
INDEXES = {
    False: """SELECT m.name, i.name, i."unique", (SELECT group_concat(name) FROM pragma_index_info(i.name))
        FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table'""",
    True: """SELECT t.relname, i.relname, x.indisunique, (
            SELECT string_agg(a.attname, ',' ORDER BY n) FROM unnest(x.indkey) WITH ORDINALITY AS k(number, n)
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
        ) FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = current_schema()""",
}


@pytest.mark.parametrize("app", ["addonkit", *PLUGINS])
async def test_migrations_have_all_options_of_the_models(app):
    """Without a default that only Python knows, which Tortoise does not compare. Writes no file if they differ."""
    async with TortoiseContext() as context:
        config = tortoise_config(Location("sqlite://unused.db"), APPS)
        await context.init(config=config, init_connections=False)
        assert await Autodetector(context.apps, config["apps"]).writer_of(app) is None


async def test_default_of_a_column_is_the_same_in_python_and_in_the_database():
    async with TortoiseContext() as context:
        await context.init(config=tortoise_config(Location("sqlite://unused.db"), APPS), init_connections=False)
        fields = [
            (model.__name__, name, field.default, field.db_default)
            for models in context.apps.values()
            for model in models.values()
            for name, field in model._meta.fields_map.items()
            if field.default is not None and field.has_db_default()
        ]
    assert len(fields) > 10
    assert [field for field in fields if field[2] != field[3]] == []


@pytest.fixture
async def databases(tmp_path):
    """The folders of two databases: with the tables of the migrations, and with those that Tortoise makes of models."""
    migrated, described = tmp_path / "migrated", tmp_path / "described"
    for folder in (migrated, described):
        folder.mkdir()
    await create_tables(Location(**database_settings(migrated, create=False)), APPS)
    location = Location(**database_settings(described))
    async with TortoiseContext() as context:
        await context.init(config=tortoise_config(location, APPS, migrating=True))
        await context.generate_schemas()
        await context.close_connections()
    return migrated, described


async def test_columns_of_the_migrations_are_those_of_the_models(databases):
    """Names, types with their lengths, NOT NULL, primary keys and defaults of the database."""
    migrated, described = (run_sql(folder, COLUMNS[on_postgresql()]) for folder in databases)
    assert len(described) > 100
    assert {row for row in migrated if row[0] not in WITHOUT_MODEL} == set(described)


async def test_indexes_of_the_migrations_are_those_of_the_models(databases):
    migrated, described = (run_sql(folder, INDEXES[on_postgresql()]) for folder in databases)
    assert len(described) > 30
    named = {row for row in migrated if row[0] not in WITHOUT_MODEL and not row[1].startswith(MADE_BY_SQL)}
    assert named == {row for row in described if not row[1].startswith(MADE_BY_SQL)}
