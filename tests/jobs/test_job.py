"""Results of attempts: the back-off after a failure, and what is written down."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

import pytest
from addonkit.context import Tenant
from addonkit.jobs.job import MAX_BACKOFF_S, JobResult, LeasedJob, failed, held, released
from addonkit.work import JobKind, JobState


def leased(failures: int = 0) -> LeasedJob:
    return LeasedJob(
        id=1,
        tenant_id=1,
        plugin="working",
        name="note",
        kind=JobKind.JOB,
        payload=b"",
        version=1,
        facts={},
        dedupe=None,
        order=None,
        starts=failures + 1,
        failures=failures,
        created_at=0.0,
    )


@pytest.mark.parametrize(("failures", "longest_s"), [(0, 2), (1, 4), (2, 8), (10, 2048), (11, 3600), (500, 3600)])
def test_backoff_doubles_up_to_its_bound(failures: int, longest_s: float) -> None:
    results = [failed(leased(failures), "error", None) for _ in range(50)]
    pauses = [result.due_at - time.time() for result in results]
    assert {result.state for result in results} == {JobState.WAITING}
    assert all(longest_s / 2 - 1 <= pause <= longest_s for pause in pauses)


def test_backoff_differs_from_job_to_job() -> None:
    assert len({round(failed(leased(20), "error", None).due_at) for _ in range(50)}) > 10


def test_backoff_is_at_least_what_the_exception_asks_for() -> None:
    result = failed(leased(), "error", None, min_pause_s=2 * MAX_BACKOFF_S)
    assert result.due_at == pytest.approx(time.time() + 2 * MAX_BACKOFF_S, abs=1)


def test_retry_ends_with_the_last_attempt() -> None:
    assert failed(leased(6), "error", 8).state is JobState.WAITING
    assert failed(leased(7), "error", 8).state is JobState.DEAD


@pytest.mark.parametrize(
    ("state", "deaths"),
    [(JobState.READY, 2), (JobState.WAITING, 0), (JobState.DONE, 0), (JobState.DEAD, 0), (JobState.HELD, 0)],
)
def test_result_keeps_the_deaths_of_a_job_only_if_its_attempt_was_broken_off(state, deaths) -> None:
    assert JobResult(replace(leased(), deaths=2), state).values()[6] == deaths


@pytest.mark.parametrize(
    ("due_at", "pause_s"), [(0.0, 0.0), (999.0, 0.0), (1000.0, 0.0), (1000.25, 0.25), (1060.0, 60.0)]
)
def test_result_is_due_after_a_pause_that_is_never_negative(monkeypatch, due_at, pause_s) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert JobResult(leased(), JobState.WAITING, due_at=due_at).values()[1] == pause_s


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, (None, 0, "", {})),
        ({"retry": 3, "identifier": "w-1", "flow": "f"}, ("w-1", 3, "f", {})),
        ({"objects": {"issue_key": "AB-1"}}, (None, 0, "", {"issue_key": "AB-1"})),
    ],
)
def test_event_of_a_webhook_has_the_facts_that_were_stored(facts, expected) -> None:
    event = replace(leased(), facts=facts).event("issue_created", cast("Tenant", None))
    assert (event.identifier, event.retry, event.flow, event.objects) == expected


@pytest.mark.parametrize("result", [released(leased(2)), held(leased(2), "its plugin is not enabled")])
def test_result_without_an_attempt_leaves_starts_and_failures_alone(result) -> None:
    _, _, is_final, starts, failures, _, _, job_id, starts_before = result.values()
    assert (is_final, starts, failures, job_id, starts_before) == (False, 2, 2, 1, 3)
