"""Spans of requests: their attributes and names, and which responses are failures of the add-on."""

from contextlib import contextmanager

import pytest
from addonkit.edge.request import InboundRequest
from addonkit.edge.request_spans import RequestSpans


class Span:
    """A span that notes what it is given."""

    def __init__(self):
        self.name, self.attributes, self.failure = None, {}, None

    def rename(self, name):
        self.name = name

    def set(self, attributes):
        self.attributes |= attributes

    def fail(self, kind, place=None):
        self.failure = kind


class Tracer:
    """A tracer that records one span at a time."""

    def __init__(self):
        self.open, self.begun = None, []

    def position(self):
        return None

    def current(self):
        return self.open

    @contextmanager
    def span(self, name, kind, attributes, *, traceparent=None):
        self.open = Span()
        self.begun.append((name, attributes, traceparent))
        try:
            yield self.open
        finally:
            self.open = None


def answered(spans, tracer, request, **record):
    """The span of a request that was answered like this; None without one."""
    with spans.scope(request):
        for name, value in record.items():
            setattr(request.record, name, value)
        spans.observe(request, 0.1)
        return tracer.open


def request(path="/x", method="GET", headers=()):
    return InboundRequest(method, path, "", list(headers), "0123456789abcdef")


@pytest.mark.parametrize(
    ("base_url", "scheme", "address", "port"),
    [
        ("https://kit.example", "https", "kit.example", 443),
        ("http://kit.example/kit", "http", "kit.example", 80),
        ("https://kit.example:8443", "https", "kit.example", 8443),
        ("http://127.0.0.1:8000", "http", "127.0.0.1", 8000),
    ],
)
def test_span_of_a_request_names_the_public_server(base_url, scheme, address, port):
    tracer = Tracer()
    answered(RequestSpans(tracer, base_url), tracer, request())
    [(name, attributes, _)] = tracer.begun
    assert (attributes["url.scheme"], attributes["server.address"], attributes["server.port"]) == (
        scheme,
        address,
        port,
    )
    assert (name, attributes["http.request.method"], attributes["url.path"]) == ("GET", "GET", "/x")
    assert attributes["addonkit.request_id"] == "0123456789abcdef"


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (200, None, None),
        (404, None, None),
        (499, None, None),
        (500, None, "500"),
        (503, "Down", "Down"),
        (0, None, None),
    ],
)
def test_span_of_a_response_with_a_5xx_is_a_failure(status, error, failure):
    tracer = Tracer()
    span = answered(RequestSpans(tracer, "https://x"), tracer, request(), status=status, error=error)
    assert span.failure == failure
    assert span.attributes.get("http.response.status_code") == (status or None)


@pytest.mark.parametrize(("method", "shown"), [("GET", "GET"), ("POST", "POST"), ("BREW", "HTTP")])
@pytest.mark.parametrize("template", ["", "/p/{issue}"])
def test_span_of_a_request_is_named_by_the_path_of_its_endpoint(method, shown, template):
    tracer = Tracer()
    facts = {"template": template, "plugin": "p", "route": "p.page", "tenant": "k", "refused": None, "status": 200}
    span = answered(RequestSpans(tracer, "https://x"), tracer, request(method=method), **facts)
    assert tracer.begun[0][0] == shown
    assert span.name == (f"{shown} {template}" if template else None)
    expected = {"addonkit.plugin": "p", "addonkit.endpoint": "p.page", "addonkit.tenant": "k"}
    expected |= {"http.response.status_code": 200} | ({"http.route": template} if template else {})
    assert span.attributes == expected


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probe_has_no_span(path):
    tracer = Tracer()
    spans = RequestSpans(tracer, "https://x")
    assert answered(spans, tracer, request(path)) is None
    tracer.open = other = Span()
    spans.observe(request(path), 0.1)
    assert (tracer.begun, other.attributes) == ([], {})


@pytest.mark.parametrize("valid", [True, False])
def test_span_of_a_request_continues_a_valid_trace_alone(valid):
    tracer, header = Tracer(), "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    sent = header if valid else "00-zz-zz-01"
    answered(RequestSpans(tracer, "https://x"), tracer, request(headers=[(b"traceparent", sent.encode())]))
    assert tracer.begun[0][2] == (header if valid else None)
