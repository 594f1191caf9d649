"""Variables of log lines: those in which structlog keeps its own values."""

import pytest
from addonkit.log import ENDPOINT, PLUGIN, REQUEST_ID, TENANT, TRACE_ID, WEBHOOK, log_variable, structlog


@pytest.fixture(autouse=True)
def _empty():
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        (REQUEST_ID, "request_id"),
        (TRACE_ID, "trace_id"),
        (TENANT, "tenant"),
        (PLUGIN, "plugin"),
        (ENDPOINT, "endpoint"),
        (WEBHOOK, "webhook"),
        (log_variable("a new name"), "a new name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_of_a_variable_is_in_log_lines(variable, name):
    assert structlog.contextvars.get_contextvars() == {}
    token = variable.set("a value")
    assert structlog.contextvars.get_contextvars() == {name: "a value"}
    structlog.contextvars.bind_contextvars(**{name: "replaced"})
    assert structlog.contextvars.get_contextvars() == {name: "replaced"}
    variable.reset(token)
    assert structlog.contextvars.get_contextvars() == {}
