"""A clock that a test sets."""


class SetClock:
    """Gives the seconds that the test has set, monotonic or Unix time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now
