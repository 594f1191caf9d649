"""`make mutants`: which places of the code are changed, and how a mutant is tried."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools" / "mutants"
EQUIVALENT = tomllib.loads((TOOL / "equivalent.toml").read_text())["mutant"]
SOURCE = """
    import typing
    LIMIT = 7
    def f(a: int = 1, *, b: "X | Y" = 2) -> typing.Literal[3]:
        \"\"\"Text.\"\"\"
        assert a != 4
        log.info("é", 5)
        if a > 6:
            raise ValueError(f"{a[:8]} is above {LIMIT}", 9)
        try:
            return a
        except ValueError:
            pass
    @dataclass(slots=True, order=10)
    class C:
        limit: "A | B" = 11
        def __repr__(self):
            return 12
"""


def run(code: str, *, tests: Path | None = None) -> str:
    """Run code that imports modules of the tool, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": str(TOOL), "PATH": ""},
        cwd=tests or ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("7", True),
        ("1", True),
        ("2", True),
        ('"X | Y"', False),
        ("Literal[3]", False),
        ("a != 4", False),
        ("5", False),
        ("a > 6", True),
        ("8", False),
        ("9", True),
        ("True", False),
        ("10", False),
        ('"A | B"', False),
        ("11", True),
        ("12", False),
    ],
)
def test_mutants_are_not_made_where_they_say_nothing_about_tests(text, changed):
    source = textwrap.dedent(SOURCE)
    line, column = next((n, row.index(text)) for n, row in enumerate(source.splitlines(), 1) if text in row)
    place = ((line, column), (line, column + len(text)))
    found = run(f"from rules import Places; print(Places({source!r}).is_noise(*{place}, 'core/NumberReplacer'))")
    assert found.strip() == str(not changed)


def test_statements_of_a_function_are_distinguished_from_those_that_run_on_import():
    source = (
        "A = 1\n@x\ndef f(a=1,\n      b=2):\n    if a:\n        return (1,\n            2)\n    else:\n        return 3"
    )
    code = f"from rules import Places\nfor lines, imported in Places({source!r}).statements(): print(*lines, imported)"
    assert run(code).splitlines() == ["1 True", "2 3 4 True", "5 False", "6 7 False", "9 False"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("LIMIT = 1", "survived"),
        ("LIMIT = 2", "killed"),
        ("LIMIT = 'x'", "killed"),
        ("raise ValueError", "killed"),
        ("while True: pass", "timeout"),
    ],
)
def test_mutant_is_killed_by_a_failure_an_error_or_the_end_of_its_time(tmp_path, text, verdict):
    """The mutant is one of a real module, with a test that compares its limit."""
    test = "def test_limit():\n    from addonkit.pinned import LIMIT\n    assert LIMIT == 1"
    (tmp_path / "test_limit.py").write_text(test)
    code = f"""
        import trial
        from pathlib import Path
        trial.SPARE_S = 15 if {verdict!r} != "timeout" else 3
        one = trial.Trial({str(ROOT / "runtime/addonkit/pinned.py")!r}, {text!r}, ("test_limit.py::test_limit",), 0)
        found = list(trial.try_all([one], Path.cwd(), processes=2, seed=1, ends_at=float("inf")))
        print(found[0][1].verdict)
    """
    assert run(code, tests=tmp_path).strip() == verdict


@pytest.mark.parametrize("entry", EQUIVALENT, ids=lambda entry: f"{Path(entry['file']).name}: {entry['before'][:40]}")
def test_mutants_listed_as_equivalent_are_of_lines_that_exist(entry):
    lines = "".join((ROOT / entry["file"]).read_text().split())
    assert "".join(entry["before"].split()) in lines, "the line has changed; remove or correct the entry"
    assert entry["after"]
    assert entry["reason"]


FAILING = """
import os
import pytest
from room.limits import allowed

@pytest.fixture
def broken():
    raise OSError

@pytest.mark.parametrize("number", range(100))
def test_number(number, request):
    is_measured = "MUTANTS_FACTS" in os.environ
    if number in {fixture}:
        request.getfixturevalue("broken")
    assert allowed(number)
    assert number not in {measured} or not is_measured
    assert number not in {checked} or is_measured
"""


@pytest.mark.parametrize(
    ("measured", "checked", "fixture", "refused"),
    [
        ({100}, {100}, {100}, None),
        ({3, 4}, {100}, {100}, None),
        ({3}, {100}, {5}, None),
        ({3, 4}, {5}, {100}, None),
        ({100}, {6, 7}, {100}, None),
        ({3, 4}, {100}, {5}, "3 of 100 tests fail without a mutant; at most 2% may"),
        ({100}, {6, 7, 8}, {100}, "3 of 100 tests fail without a mutant; at most 2% may"),
    ],
    ids=["none fails", "two", "one in a fixture", "one later", "two later", "three", "three later"],
)
def test_tests_that_fail_without_a_mutant_are_named_and_left_out_up_to_a_share(
    tmp_path, measured, checked, fixture, refused
):
    """Some fail while coverage is measured, and some only in the run in which a mutant would be tried."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room/limits.py").write_text("def allowed(number):\n    return number < 100")
    text = FAILING.replace("{measured}", str(measured)).replace("{checked}", str(checked))
    (tmp_path / "test_number.py").write_text(text.replace("{fixture}", str(fixture)))
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .")
    code = """
        import reach, run
        from pathlib import Path
        reach.ROOT = run.ROOT = Path.cwd()
        try:
            found = reach.measure(Path("room"), ["test_number.py"], Path.cwd())
            found = run.checked(found, Path.cwd(), seed=1)
            print("used", *found.of("room/limits.py", 2))
        except reach.TestsFail as error:
            print(error)
    """
    output = run(code, tests=tmp_path)
    failed = {number for number in measured | checked | fixture if number < 100}
    names = [f"test_number.py::test_number[{number}]" for number in range(100)]
    if refused:
        assert refused in output
        assert "used" not in output
    else:
        used = output.partition("used ")[2].split()
        assert sorted(used) == sorted(name for number, name in enumerate(names) if number not in failed)
        assert ("left out, because they fail without a mutant:" in output) == bool(failed)
    assert [name for name in names if f"  {name}\n" in output] == [names[number] for number in sorted(failed)]


def test_tests_that_cannot_be_collected_end_the_run_whatever_their_number(tmp_path):
    (tmp_path / "test_number.py").write_text("import no_such_module")
    code = """
        import reach
        from pathlib import Path
        reach.ROOT = Path.cwd()
        try:
            reach.measure(Path("room"), ["test_number.py"], Path.cwd())
        except reach.TestsFail as error:
            print(error)
    """
    assert "No module named 'no_such_module'" in run(code, tests=tmp_path)
