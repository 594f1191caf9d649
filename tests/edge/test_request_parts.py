"""Small parts of a request's way through the edge: its body, its scope, fetch budgets, and facts of a webhook."""

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
import structlog
from addonkit.context import Tenant, TenantState
from addonkit.current import current_work, origin_scope
from addonkit.edge.authentication import PARAMETERS, _leaves, _objects_in
from addonkit.edge.fetch_budget import TokenBucket
from addonkit.edge.metrics import prefers_openmetrics
from addonkit.edge.prometheus import PrometheusMetrics
from addonkit.edge.refused_webhooks import RefusedWebhooks
from addonkit.edge.request import InboundRequest, RequestRecord, read_body
from addonkit.edge.request_scope import RequestScope
from addonkit.edge.response import SecurityHeaders
from addonkit.edge.webhooks import webhook_job
from addonkit.errors import TokenInvalid
from addonkit.origin import Origin
from addonkit.work import JobKind, JobSpec


def request(**more):
    return InboundRequest("GET", "/x", "", [], "0123456789abcdef", **more)


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([{"body": b"ab", "more_body": False}], b"ab"),
        ([{"body": b"ab"}], b"ab"),
        ([{}], b""),
        ([{"body": b"ab", "more_body": True}, {"body": b"c"}], b"abc"),
        ([{"more_body": True}, {"body": b"c", "more_body": False}], b"c"),
    ],
    ids=["whole", "without more_body", "nothing", "two", "an empty first"],
)
async def test_body_ends_with_the_message_that_announces_no_more(messages, body):
    waiting = [{"type": "http.request", **message} for message in messages]

    async def receive():
        return waiting.pop(0)

    assert await read_body(receive, 10) == body
    assert waiting == []


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        ([0, 0, 0], [True, True, False]),
        ([0, 0, 30, 30], [True, True, True, False]),
        ([0, 0, 15, 30, 30], [True, True, False, True, False]),
        ([0, 0, 20, 20, 40], [True, True, False, False, True]),
        ([0, 0, 600, 600, 600], [True, True, True, True, False]),
        ([10, 0, 0], [True, True, False]),
    ],
    ids=["used up", "half a minute", "quarters add up", "refusals take nothing", "full again", "clock that goes back"],
)
def test_bucket_of_two_a_minute_gains_one_in_half_a_minute(times, taken):
    bucket = TokenBucket(2, 0)
    assert [bucket.take(now) for now in times] == taken


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        ("text/html, application/openmetrics-text", True),
        ("application/openmetrics-text;version=2, application/openmetrics-text;version=1.0.0", True),
        ("*/*;q=1, text/plain;q=0.1, application/openmetrics-text;q=0.2", True),
        ("text/html, text/plain, application/openmetrics-text;q=0.9", False),
        ("text/html, image/png", False),
    ],
)
def test_types_that_are_not_served_do_not_end_the_search_for_openmetrics(accept, preferred):
    assert prefers_openmetrics(accept) is preferred


def test_scope_of_a_request_ends_with_it():
    outer = Origin("outer")
    structlog.contextvars.bind_contextvars(tenant="before")
    with origin_scope(outer):
        with RequestScope(request()):
            assert current_work().request_id == "0123456789abcdef"
        assert current_work().origin is outer
        with pytest.raises(LookupError), RequestScope(request()):
            raise LookupError
        assert current_work().origin is outer
    assert structlog.contextvars.get_contextvars().get("tenant") == "before"
    structlog.contextvars.clear_contextvars()


def test_record_of_a_request_is_not_in_its_repr_and_not_compared():
    first, second = (request(record=RequestRecord(reason=reason)) for reason in ("a secret", "another"))
    assert "secret" not in repr(first)
    assert first == second


@pytest.mark.parametrize(
    ("base_url", "script"),
    [
        (None, "https://cdn.example/all.js"),
        ("https://a.atlassian.net", "https://cdn.example/all.js"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/atlassian-connect/all.js"),
    ],
)
def test_script_of_the_host_is_that_of_a_simulated_site_on_loopback_only(base_url, script):
    security = SecurityHeaders("https://kit.example.com", ["*.atlassian.net"], "https://cdn.example/all.js")
    site = base_url and Tenant(1, "k", "jira", base_url, base_url, TenantState.ENABLED, "k", None)
    assert security.script_of(site or None) == script


@pytest.mark.parametrize("flow", ["", "Primary", "x" * 19, "x" * 20, "x" * 21])
def test_flow_of_a_webhook_is_kept_up_to_20_characters(flow):
    async def handle(_: object) -> None:
        raise AssertionError("never run")

    spec = JobSpec("p", "n", JobKind.WEBHOOK, handle, 1, 60.0, event="jira:issue_updated")
    job = webhook_job(spec, 1, b"{}", {}, "delivery-1", flow=flow)
    assert isinstance(job.facts, Mapping)
    assert job.facts["flow"] == flow[:20]


def test_metrics_name_each_plugin_with_the_value_one():
    text = PrometheusMetrics({"a": "1.2", "b": "3"}).text(None, 0.0).decode()
    lines = [line for line in text.splitlines() if line.startswith("addonkit_plugin_info{")]
    assert [(line.split('plugin="')[1].split('"')[0], float(line.rpartition(" ")[2])) for line in lines] == [
        ("a", 1.0),
        ("b", 1.0),
    ]


@pytest.mark.parametrize("problem", ["ambiguous", "unreadable", "unknown"])
def test_webhook_whose_token_is_not_recognised_is_kept_as_unverified(problem):
    def recognised(*_):
        raise TokenInvalid(problem)

    refused = RefusedWebhooks(
        authenticator=SimpleNamespace(recognised=recognised, now=lambda: 1000.0),
        plugins=["p"],
        file=SimpleNamespace(append=lambda *_: None),
        count=lambda _: None,
    )
    asked = InboundRequest("POST", "/webhooks/p/n", "", [(b"authorization", b"JWT a.b.c")], "0123456789abcdef")
    assert refused._recognised(asked) is None


CLAIMS = {
    "text": ({"jira": {"issue": {"id": "7", "key": "AB-7"}}}, {"issue.id": "7", "issue.key": "AB-7"}),
    "number": ({"jira": {"issue": {"id": 7}}}, {"issue.id": "7"}),
    "number zero": ({"jira": {"issue": {"id": 0}}}, {"issue.id": "0"}),
    "no value": ({"jira": {"issue": {"id": "", "key": None}}}, {}),
    "truth values": ({"jira": {"issue": {"id": True, "key": False}}}, {}),
    "fraction": ({"jira": {"issue": {"id": 1.5}}}, {}),
    "list": ({"jira": {"issue": {"id": ["7"]}}}, {}),
    "both products": (
        {"jira": {"project": {"key": "AB"}}, "confluence": {"content": {"id": "9"}}},
        {"project.key": "AB", "content.id": "9"},
    ),
    "another product": ({"trello": {"issue": {"id": "7"}}}, {}),
    "no object": ({"jira": "issue", "confluence": ["content"]}, {}),
    "unknown names": ({"jira": {"issue": {"colour": "red"}, "id": "7"}}, {}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_objects_of_a_page_are_the_texts_and_numbers_of_the_claim(case):
    context, expected = CLAIMS[case]
    assert dict(_objects_in(context)) == {PARAMETERS[variable]: value for variable, value in expected.items()}


@pytest.mark.parametrize(("depth", "is_read"), [(1, True), (2, True), (3, True), (4, True), (5, False), (500, False)])
def test_claim_is_read_down_to_its_fourth_level(depth, is_read):
    tree = {"id": "7"}
    for number in range(depth - 1):
        tree = {f"level{number}": tree}
    path = ".".join([f"level{number}" for number in reversed(range(depth - 1))] + ["id"])
    assert _leaves(tree, "") == ([(path, "7")] if is_read else [])
