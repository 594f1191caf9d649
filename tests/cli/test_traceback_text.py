"""Tracebacks for the console log: which frames and lines they have, and that nobody can forge a line with them."""

import pytest
from addonkit.cli.traceback_text import traceback_text

FORGED = "\n2026-01-01T00:00:00Z [error] FAKE\r\x1b[31m\x9b2J\u2028\u202e\x00"


def caught(raising, *args):
    try:
        raising(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fails(text):
    raise RuntimeError(text)


def fails_with_cause(text):
    try:
        fails(text)
    except RuntimeError as error:
        raise ValueError(text) from error


def fails_in_handler(text):
    try:
        fails(text)
    except RuntimeError:
        raise KeyError(text)  # noqa: B904 - the context is what is tested


def fails_with_note(text):
    error = RuntimeError("plain")
    error.add_note(text)
    error.add_note(text)
    raise error


def fails_in_group(text):
    raise ExceptionGroup(text, [caught(fails, text), caught(fails_with_cause, text), caught(fails_in_handler, text)])


def fails_in_text(text):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError(text)

    raise Odd


def fails_with_name(text):
    raise type(text, (Exception,), {})("x")


def fails_to_compile(text):
    compile(f"a = '{text}", text, "exec")


KINDS = [
    fails,
    fails_with_cause,
    fails_in_handler,
    fails_with_note,
    fails_in_group,
    fails_in_text,
    fails_to_compile,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("whole", [True, False])
def test_traceback_of_an_exception_with_a_callers_text_cannot_forge_lines(kind, whole):
    text = traceback_text(caught(kind, FORGED), ["tests"], whole=whole)
    assert "Traceback" in text
    for line in text.split("\n"):
        assert line.startswith("    ")
        assert line.isprintable()
        assert not line.strip(" |").startswith("2026")


def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        import json

        json.loads("{")


def test_traceback_has_the_frames_of_plugins_and_three_of_libraries():
    text = traceback_text(caught(deep, 3), ["test_traceback_text", *__name__.split(".")])
    assert text.count("in deep") == 4
    assert [name for name in ("in loads", "in decode", "in raw_decode") if name in text]
    assert "JSONDecodeError: Expecting property name" in text.splitlines()[-1]


@pytest.mark.parametrize(("whole", "count"), [(False, 3), (True, 6)])
def test_traceback_of_libraries_alone_is_cut_to_the_last_three(whole, count):
    text = traceback_text(caught(deep, 2), [], whole=whole)
    assert text.count('File "') >= count if whole else text.count('File "') == count
    assert ("more frames; set [log] level to debug" in text) is not whole


def test_traceback_of_a_deep_recursion_is_short():
    text = traceback_text(caught(deep, 500), __name__.split("."))
    assert len(text.splitlines()) < 110


def test_traceback_of_a_long_chain_and_a_long_text_is_bounded():
    error = RuntimeError("x" * 1_000_000)
    for _ in range(100):
        following = RuntimeError("y" * 100_000)
        following.__cause__ = error
        error = following
    assert len(traceback_text(error)) < 30_000


def test_traceback_of_causes_that_form_a_circle_ends():
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert traceback_text(one).count("RuntimeError: ") == 2


def test_traceback_names_the_cause_first():
    lines = [line.strip() for line in traceback_text(caught(fails_with_cause, "why")).splitlines()]
    assert lines.index("RuntimeError: why") < lines.index("ValueError: why")
    assert "The above exception was the direct cause of the following exception:" in lines
