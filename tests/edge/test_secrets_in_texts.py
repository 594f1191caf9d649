"""Values with a secret: their text, which a log or a debugger may show, does not contain it."""

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.edge.access_log import AccessLog
from addonkit.edge.operations import Operations
from addonkit.edge.request import InboundRequest
from addonkit.jobs.job import LeasedJob
from addonkit.tenancy.record import Installation, TenantRecord
from addonkit.work import JobKind

SECRET = "s3cret-of-a-site"
TENANT = Tenant(1, "k", "jira", "https://x", "https://x", TenantState.ENABLED, "k")
VALUES = {
    "access log": AccessLog(key=SECRET.encode()),
    "operations": Operations(readiness=None, draining=bool, metrics=None, token=SECRET, security=None),
    "record": TenantRecord(TENANT, SECRET.encode()),
    "record with a former secret": TenantRecord(TENANT, None, SECRET.encode(), 9e9),
    "installation": Installation("k", "jira", "https://x", SECRET),
    "job": LeasedJob(7, 0, "p", "n", JobKind.JOB, SECRET.encode(), 1, {}, None, None, 1, 0, 0.0),
}


@pytest.mark.parametrize("name", VALUES)
def test_text_of_a_value_has_no_secret(name):
    assert SECRET not in repr(VALUES[name])


def test_requests_are_equal_whatever_became_of_them():
    first, second = (InboundRequest("GET", "/x", "", [], "id") for _ in range(2))
    first.record.status = 500
    assert first == second
    assert first != InboundRequest("GET", "/y", "", [], "id")
