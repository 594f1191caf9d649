"""Requests that fail under wrk are counted, and a redirect is not taken for success."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from machine import BenchError
from wrk import Counts, read_counts, require_success

PRINTED = {"requests": 1000, "duration_us": 2_000_000, "refused": 0, "broken": 0, "p50_us": 400, "p99_us": 1600}


@pytest.fixture(scope="module")
def server():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/").partition("?")[0]))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Print nothing."""

    running = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running.server_port
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(
    ("counted", "rate", "failed"),
    [
        pytest.param({}, 500, 0, id="none failed"),
        pytest.param({"refused": 100}, 450, 100, id="statuses of 400 and more"),
        pytest.param({"broken": 7}, 500, 7, id="sockets and timeouts"),
        pytest.param({"refused": 100, "broken": 7}, 450, 107, id="both"),
        pytest.param({"refused": 1000}, 0, 1000, id="all refused"),
    ],
)
def test_counts_leave_failed_requests_out_of_the_rate(counted, rate, failed):
    counts = read_counts(f"Running 2s test\n  Socket errors\n{json.dumps(PRINTED | counted)}\n")
    sample = counts.sample(cpu=1.0)
    assert (sample.clock, sample.cpu, sample.failed) == (rate, rate * 2, failed)


def test_tail_is_the_ratio_of_the_slow_responses_to_the_median():
    counts = Counts(**PRINTED | {"broken": 3})
    assert (counts.tail.clock, counts.tail.failed) == (4.0, 3)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("", id="nothing"),
        pytest.param("unable to connect to 127.0.0.1:1 Connection refused\n", id="a message"),
        pytest.param("[1, 2]\n", id="a list"),
        pytest.param('{"requests": 5}\n', id="a part of the counts"),
        pytest.param(json.dumps(PRINTED) + "\nand more\n", id="text after the counts"),
    ],
)
def test_output_without_counts_is_an_error(output):
    with pytest.raises(BenchError, match="expected the counts"):
        read_counts(output)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_first_request_may_have_any_status_of_success(server, status):
    require_success(server, "GET", f"/{status}", {})


@pytest.mark.parametrize("status", [302, 304, 401, 404, 503])
def test_first_request_with_another_status_stops_the_run_without_its_token(server, status):
    with pytest.raises(BenchError, match=f"GET '/{status}' was answered with {status}, expected 2xx"):
        require_success(server, "GET", f"/{status}?jwt=secret", {})
