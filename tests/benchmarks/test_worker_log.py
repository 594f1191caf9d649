"""What became of the jobs of a killed worker, read from the log of all workers."""

from __future__ import annotations

import pytest
from worker_log import Event, Recovery, open_jobs, recovery_of

KILLED_AT = 10.0
NEVER = float("inf")


def begin(job, at, process=1):
    return Event("begin", job, process, at)


def end(job, at, process=1):
    return Event("end", job, process, at)


BEFORE = [begin(1, 8), end(1, 9), begin(2, 9), begin(3, 9), begin(4, 9, process=2)]
INTERRUPTED = {2, 3}


def test_open_jobs_are_those_of_one_process_that_have_not_ended():
    assert (open_jobs(BEFORE, 1), open_jobs(BEFORE, 2), open_jobs(BEFORE, 3)) == (INTERRUPTED, {4}, set())


@pytest.mark.parametrize(
    ("after", "recovery"),
    [
        pytest.param([], Recovery(NEVER, lost=3, twice=0), id="nothing happens"),
        pytest.param([end(4, 11, 2)], Recovery(NEVER, lost=2, twice=0), id="the other worker goes on"),
        pytest.param([begin(2, 12, 2), end(2, 13, 2)], Recovery(NEVER, lost=2, twice=0), id="one of two again"),
        pytest.param(
            [begin(2, 12, 2), begin(3, 22, 5), end(2, 13, 2), end(3, 23, 5), end(4, 11, 2)],
            Recovery(12.0, lost=0, twice=0),
            id="the last one counts",
        ),
        pytest.param(
            [begin(2, 12, 2), begin(3, 13, 2), begin(3, 40, 5), end(2, 13, 2), end(3, 14, 2), end(4, 11, 2)],
            Recovery(3.0, lost=0, twice=0),
            id="the first time that each begins again",
        ),
        pytest.param(
            [begin(1, 11, 2), end(1, 12, 2), begin(2, 12, 2), begin(3, 13, 2), end(2, 13), end(3, 14), end(4, 15, 2)],
            Recovery(3.0, lost=0, twice=1),
            id="a job that had ended runs again",
        ),
    ],
)
def test_recovery_is_the_time_until_the_last_interrupted_job_begins_again(after, recovery):
    assert recovery_of([*BEFORE, *after], 4, INTERRUPTED, KILLED_AT) == recovery
