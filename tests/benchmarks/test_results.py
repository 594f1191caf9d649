"""How figures are compared and judged."""

from __future__ import annotations

import pytest
from machine import Sample
from results import Goal, Result, cost, paired

OURS = [Sample(10, 20), Sample(30, 40), Sample(50, 90)]
THEIRS = [Sample(5, 10), Sample(60, 20), Sample(10, 30)]


@pytest.mark.parametrize(
    ("compared", "median"),
    [
        pytest.param("ratio", 2.0, id="median of the ratios"),
        pytest.param("ratio of medians", 2.0, id="ratio of the medians"),
        pytest.param("difference", 20, id="median of the differences"),
    ],
)
def test_comparison_of_pairs(compared, median):
    assert Result("r", OURS, THEIRS, "µs", compared=compared).median("cpu") == median


def test_ratio_of_medians_is_not_the_median_of_ratios():
    by_pair, by_side = (Result("r", OURS, THEIRS, "", compared=one) for one in ("ratio", "ratio of medians"))
    assert (by_pair.median("clock"), by_side.median("clock")) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("bound", "is_minimum", "failed", "is_met"),
    [
        pytest.param(2.0, True, 0, True, id="at least, reached"),
        pytest.param(2.1, True, 0, False, id="at least, not reached"),
        pytest.param(2.0, False, 0, True, id="at most, kept"),
        pytest.param(1.9, False, 0, False, id="at most, exceeded"),
        pytest.param(2.0, True, 1, False, id="reached, but a request failed"),
        pytest.param(2.0, False, 1, False, id="kept, but a request failed"),
    ],
)
@pytest.mark.parametrize("side", [pytest.param(0, id="on our side"), pytest.param(1, id="on the other side")])
def test_goal_is_missed_if_requests_failed(bound, is_minimum, failed, is_met, side):
    sides = [list(OURS), list(THEIRS)]
    sides[side].append(Sample(20, 20, failed))
    sides[1 - side].append(Sample(10, 10) if side == 0 else Sample(40, 40))
    result = Result("r", *sides, "", Goal(bound, is_minimum))
    assert (result.is_met, result.failed) == (is_met, failed)


def test_failed_requests_stay_with_the_cost_of_a_request():
    assert cost(Sample(1000, 2000, 3)) == Sample(1000, 500, 3)


def test_pairs_begin_with_the_other_side_each_time_after_a_warm_up():
    order = []
    paired(lambda: order.append("ours"), lambda: order.append("theirs"), 3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]
