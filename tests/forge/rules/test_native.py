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
