"""W3C trace context: which headers are read, and what is passed on."""

from __future__ import annotations

import pytest
from addonkit.origin import Origin, Trace

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
    trace = Trace.new("0123456789abcdef")
    assert trace.trace_id.startswith("0123456789abcdef")
    assert Trace.read(trace.traceparent) == trace
    assert Trace.new("0123456789abcdef").trace_id != trace.trace_id
    assert Trace.new().trace_id != Trace.new().trace_id


@pytest.mark.parametrize(
    ("origin", "facts"),
    [
        (Origin("0123456789abcdef", Trace("0123456789abcdef" * 2, SPAN)), {"request_id": "0123456789abcdef"}),
        (Origin("0123456789abcdef", Trace(TRACE, SPAN)), {"request_id": "0123456789abcdef", "trace_id": TRACE}),
        (Origin(None, Trace(TRACE, SPAN)), {"trace_id": TRACE}),
    ],
    ids=["own trace", "trace of the caller", "no request"],
)
def test_log_lines_have_the_trace_unless_it_begins_with_the_request(origin, facts):
    assert origin.facts() == facts
