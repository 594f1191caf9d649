"""Modules below ``modules`` that have rules of their own."""

from __future__ import annotations

import pytest

from tests.support.forge_findings import places
from tests.support.forge_variants import EVENTS, Change, drop, put

SCHEDULED = "/modules/scheduledTrigger/0/interval"
MIGRATING = "/modules/connectToForgeMigration/0"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (drop("modules endpoint 0 route"), "/modules/endpoint/0"),
        (put("modules endpoint 0 route", "/events"), "/modules/endpoint/0/route"),
        (put("modules endpoint 0 auth", {"appSystemToken": {}}), "/modules/endpoint/0/auth/appSystemToken"),
        (put("modules endpoint 0 auth appUserToken", {"enabled": True}), "/modules/endpoint/0/auth/appUserToken"),
        (put("modules endpoint 0 service", "py"), "/modules/endpoint/0"),
        (put("modules trigger 0 events", []), "/modules/trigger/0/events"),
        (put("modules trigger 0 evnts", ["x"]), "/modules/trigger/0/evnts"),
        (drop("modules trigger 0 endpoint"), "/modules/trigger/0"),
        (put("modules scheduledTrigger", [{"key": "s", "endpoint": EVENTS, "interval": "minute"}]), SCHEDULED),
        (put("modules function", [{"key": "f" * 24, "handler": "index.run"}]), "/modules/function/0/key"),
        (put("modules connectToForgeMigration", [{"key": "m", "migrationGuideUrl": "https://x"}]), MIGRATING),
        (
            put("modules jira:workflowCondition", [{"key": "c", "endpoint": EVENTS}]),
            "/modules/jira:workflowCondition/0",
        ),
    ],
    ids=[
        "no route",
        "route text",
        "token without enabled",
        "user token for events",
        "remote and service",
        "no events",
        "misspelt field",
        "no target",
        "interval",
        "function key",
        "half a migration",
        "workflow",
    ],
)
def test_forge_module_that_the_validator_refuses_is_an_error(change: Change, pointer: str):
    assert ("error", pointer) in places(change)


@pytest.mark.parametrize(
    "path",
    [
        "route method",
        "auth name",
        "auth appSystemToken audience",
        "auth appSystemToken required",
        "route query",
    ],
)
def test_field_of_an_endpoint_that_forge_ignores_is_a_warning(path: str):
    change = put(f"modules endpoint 0 {path}", "x")
    assert places(change) == [("warning", f"/modules/endpoint/0/{path.replace(' ', '/')}")]


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ({"key": "f"}, ""),
        ({"key": "f", "handlr": "index.run"}, "/handlr"),
        ({"key": "f", "handler": ""}, "/handler"),
        ({"key": "f", "handler": 3}, "/handler"),
        ({"key": "f", "handler": "run"}, "/handler"),
        ({"key": "f", "handler": "src/index.js.run"}, "/handler"),
        ({"key": "f", "handler": "/index.run"}, "/handler"),
        ({"key": "f", "handler": "index.run", "cleanup": "no"}, "/cleanup"),
        ({"key": "f", "handler": "index.run", "runtime": "nodejs22.x"}, "/runtime"),
        ({"key": "f" * 24, "handler": "index.run"}, "/key"),
    ],
    ids=[
        "no handler",
        "misspelt",
        "empty",
        "number",
        "one word",
        "extension",
        "absolute",
        "cleanup",
        "runtime",
        "long key",
    ],
)
def test_function_that_the_validator_refuses_is_an_error(function: dict[str, object], place: str):
    assert ("error", f"/modules/function/0{place}") in places(put("modules function", [function]))


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"entry": "x"}, "/entry"),
        ({"entry": None}, "/entry"),
        ({"tunnel": 3000}, "/tunnel"),
        ({"tunnel": {}}, "/tunnel"),
        ({"tunnel": {"port": 3000, "host": "x"}}, "/tunnel/host"),
    ],
    ids=["text", "empty", "number", "no port", "host"],
)
def test_resource_that_the_validator_refuses_is_an_error(resource: dict[str, object], place: str):
    assert ("error", f"/resources/0{place}") in places(put("resources", [{"key": "ui", "path": "ui", **resource}]))


@pytest.mark.parametrize("length", [1, 1000, 1001, 5000, 100_000])
def test_path_of_an_endpoint_can_be_long(length: int):
    assert places(put("modules endpoint 0 route path", "/" * length)) == []
