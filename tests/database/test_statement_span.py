"""What a span says of a statement: its operation and its table, whatever its literals contain."""

import pytest
from addonkit.database.statement_span import summary_of

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", ("SELECT", "")),
        ('SELECT "id" FROM "issue_panel_item" WHERE "tenant_id"=?', ("SELECT", "issue_panel_item")),
        ("select count(*) from addonkit_job j join addonkit_tenant t on t.id = j.id", ("SELECT", "addonkit_job")),
        ("INSERT INTO addonkit_job (id, name) VALUES (?, ?) RETURNING id", ("INSERT", "addonkit_job")),
        ("INSERT OR IGNORE INTO notes SELECT * FROM old", ("INSERT", "notes")),
        ("UPDATE addonkit_job SET state = 'ready' WHERE id IN (SELECT id FROM other)", ("UPDATE", "addonkit_job")),
        ("DELETE FROM addonkit_job WHERE id = $1", ("DELETE", "addonkit_job")),
        ("\n  WITH late AS (SELECT id FROM a) UPDATE b SET c = 1", ("UPDATE", "b")),
        ("WITH x AS (INSERT INTO a VALUES (1) RETURNING id) SELECT * FROM x", ("SELECT", "x")),
        ("SELECT * FROM (SELECT a FROM (SELECT a FROM b) c) d", ("SELECT", "")),
        ("BEGIN", ("BEGIN", "")),
        ("SAVEPOINT tortoise_1", ("SAVEPOINT", "")),
        ("PRAGMA foreign_keys", ("PRAGMA", "")),
        ("CREATE TABLE notes (id INT)", ("CREATE", "notes")),
        ("/* FROM hunter2 */ SELECT 1", ("SELECT", "")),
        ("-- FROM hunter2\nSELECT 1", ("SELECT", "")),
        ("SELECT 'FROM hunter2'", ("SELECT", "")),
        ("SELECT 'it''s FROM hunter2', 2", ("SELECT", "")),
        (r"SELECT E'it\'s FROM hunter2', 2", ("SELECT", "")),
        ("SELECT $$FROM hunter2$$, $tag$ FROM hunter2 $tag$", ("SELECT", "")),
        ("SELECT ')', '(', 'FROM hunter2' FROM notes", ("SELECT", "notes")),
        ("'hunter2", ("?", "")),
        ("", ("?", "")),
    ],
)
def test_summary_is_the_operation_and_the_table(statement, expected):
    assert summary_of(statement) == expected


@pytest.mark.parametrize("count", [1, 50, 500], ids=["one", "fifty", "many"])
def test_summary_of_a_long_statement_is_short(count):
    statement = f"INSERT INTO notes VALUES {', '.join([f'(1, {SECRET!r})'] * count)}"
    assert summary_of(statement) == ("INSERT", "notes")
