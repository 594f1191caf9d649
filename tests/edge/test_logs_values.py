"""Log lines with unusual and hostile values: nobody can forge a line with them, and none makes logging fail."""

import io
import json
import sys
import threading

import pytest
import structlog
from addonkit.cli.logs import LineLogger, configure, log_stray_failures
from addonkit.settings import LogSettings


def configured(form):
    configure(LogSettings(format=form), ["tests"])


FORGED = (
    "x\n2026-01-01T00:00:00.000000Z [error    ] FAKE\r\x1b[31mred\x9b2J\x1b]0;title\x07\x0b\x0c\x1c\x85\u2028"
    "\u2029\u202e\u2066\u200b\u200f\xad\ufeff\ud800\U000e0041\x00\x7f"
)


class Odd:
    """An object whose representation breaks the line."""

    def __repr__(self):
        return FORGED


class OddNumber(int):
    """A number whose text breaks the line."""

    def __repr__(self):
        return FORGED

    __str__ = __repr__


class OddText(str):
    """A text that reads differently from what it holds."""

    __slots__ = ()

    def __str__(self):
        return "plain"


class Unreadable(Exception):
    """An object without a text."""

    def __repr__(self):
        raise RuntimeError(FORGED)

    __str__ = __repr__


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def circular():
    value = {}
    value["itself"] = value
    return value


UNUSUAL = {
    "no text": Unreadable(),
    "in a list": [Unreadable()],
    "bytes as keys": {b"a": 1},
    "tuples as keys": {(1, 2): 3},
    "not a number": float("nan"),
    "infinite": [float("inf")],
    "circle": circular(),
    "deep": nested(5000),
    "long number": 10**5000,
    "half a pair": {"\ud800": "\udfff"},
    "set": {1},
}


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_log_of_an_unusual_value_is_one_line_and_raises_nothing(capfd, form, value):
    configured(form)
    structlog.get_logger().error("odd", value=value, other="kept")
    structlog.get_logger().error(value)
    first, second = capfd.readouterr().err.removesuffix("\n").split("\n")
    for line in (first, second):
        assert line.isprintable()
    if form == "json":
        assert json.loads(first, parse_constant=pytest.fail)["other"] == "kept"
        json.loads(second, parse_constant=pytest.fail)


def test_log_line_is_written_in_one_call():
    class Calls(io.StringIO):
        written = ()

        def write(self, text):
            self.written = (*self.written, text)
            return len(text)

    file = Calls()
    LineLogger(file).error("a line")
    assert file.written == ("a line\n",)


def fail_in_a_thread():
    def fail():
        raise RuntimeError(FORGED)

    thread = threading.Thread(target=fail, name=FORGED.replace("\ud800", "").replace("\x00", ""))
    thread.start()
    thread.join()


def fail_in_a_finalizer():
    class Fails:
        def __del__(self):
            raise RuntimeError(FORGED)

        __repr__ = Odd.__repr__

    Fails()


def fail_in_the_process():
    sys.excepthook(RuntimeError, RuntimeError(FORGED), None)


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("fail", [fail_in_a_thread, fail_in_a_finalizer, fail_in_the_process])
def test_log_of_a_failure_outside_of_requests_cannot_forge_lines(capfd, monkeypatch, form, fail):
    for module, name in ((threading, "excepthook"), (sys, "unraisablehook"), (sys, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    configured(form)
    log_stray_failures()
    fail()
    first, *others = capfd.readouterr().err.removesuffix("\n").split("\n")
    assert ".failed" in first
    for line in (first, *others):
        assert line.isprintable()
    assert all(line.startswith("    ") for line in others)
    assert form == "console" or (json.loads(first), others)[1] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": FORGED},
        {"name": [FORGED]},
        {"name": {FORGED: 1}},
        {"name": Odd()},
        {"name": RuntimeError(FORGED)},
        {"name": FORGED.encode(errors="surrogatepass")},
        {"name": OddNumber(1)},
        {"name": OddText(FORGED)},
        {"name": (FORGED, {FORGED: [FORGED]})},
        {FORGED: "value"},
        {"exception": FORGED},
        {"stack": FORGED},
        {"exc_info": RuntimeError(FORGED)},
        {"exc_info": (RuntimeError, RuntimeError(FORGED), None)},
    ],
    ids=lambda fields: next(iter(fields))[:6],
)
def test_log_values_and_exceptions_of_the_console_cannot_forge_lines(capfd, fields):
    configured("console")
    structlog.get_logger().error(f"said {FORGED}", **fields)
    first, *others = capfd.readouterr().err.removesuffix("\n").split("\n")
    assert "said x" in first
    for line in (first, *others):
        assert line.isprintable()
    assert all(line.startswith("    ") for line in others)
