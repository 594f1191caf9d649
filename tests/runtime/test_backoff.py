import pytest
from addonkit.backoff import backoff_s


@pytest.mark.parametrize(
    ("failures", "expected"), [(-1, 0.0), (0, 0.0), (1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (10_000, 60.0)]
)
def test_backoff_doubles_up_to_its_bound(failures, expected):
    assert backoff_s(failures, first_s=0.5, longest_s=60, jitter=False) == expected


def test_backoff_with_jitter_stays_in_the_upper_half_and_varies():
    pauses = {backoff_s(3, first_s=1, longest_s=60) for _ in range(200)}
    assert all(2.0 <= pause <= 4.0 for pause in pauses)
    assert len(pauses) > 100
