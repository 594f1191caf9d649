"""W3C trace context: which headers are read, and what is passed on."""

from __future__ import annotations

import pytest
from addonkit.origin import Origin, Trace

REQUEST = "0123456789abcdef"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
        (f"cc-{TRACE}-{SPAN}-01-", True),
    ],
    ids=["not sampled", "sampled", "all flags", "another flag", "later version", "more fields", "empty field"],
)
def test_valid_traceparent_is_continued(header, sampled):
    trace = Trace.read(header)
    assert trace == Trace(TRACE, SPAN, sampled)
    child = trace.child()
    assert (child.trace_id, child.is_sampled) == (TRACE, sampled)
    assert child.span_id != SPAN
    assert Trace.read(child.traceparent) == child


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "-",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}_{SPAN}_01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        f"00-{chr(0x660) * 31}1-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 600,
    ],
    ids=lambda header: "none" if header is None else ascii(header[:90]),
)
def test_invalid_traceparent_begins_a_new_trace(header):
    assert Trace.read(header) is None


def test_new_trace_begins_with_the_id_of_its_request():
    trace = Trace.new(REQUEST)
    assert trace.trace_id.startswith(REQUEST)
    assert Trace.read(trace.traceparent) == trace
    assert Trace.new(REQUEST).trace_id != trace.trace_id
    assert Trace.new().trace_id != Trace.new().trace_id


@pytest.mark.parametrize(
    ("origin", "facts"),
    [
        (
            Origin(REQUEST, Trace(REQUEST * 2, SPAN).traceparent),
            {"request_id": REQUEST},
        ),
        (
            Origin(REQUEST, Trace(TRACE, SPAN).traceparent),
            {"request_id": REQUEST, "trace_id": TRACE},
        ),
        (Origin(None, f"00-{TRACE}-{SPAN}-00"), {"trace_id": TRACE}),
        (Origin(REQUEST), {"request_id": REQUEST}),
    ],
    ids=["own trace", "trace of the caller", "no request", "new trace"],
)
def test_log_lines_have_the_trace_unless_it_begins_with_the_request(origin, facts):
    assert {variable.name.removeprefix("structlog_"): value for variable, value in origin.log_values()} == facts


@pytest.mark.parametrize("header", [None, "nonsense", f"00-{TRACE}-{SPAN}-01"], ids=["none", "invalid", "valid"])
def test_origin_keeps_its_trace_and_continues_that_of_a_valid_header(header):
    origin = Origin(REQUEST, header)
    assert origin.trace is origin.trace
    assert origin.trace.trace_id.startswith(TRACE if header and TRACE in header else REQUEST)
    assert origin.trace.span_id != SPAN
