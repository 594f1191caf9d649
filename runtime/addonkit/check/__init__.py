"""The doctor: looks at a deployment one thing at a time, says what is wrong with it, and changes nothing.

Each look is a small module here; what they share is in ``finding``, ``case`` and ``visits``. Why one token is refused
is in ``token``.
"""

from addonkit.check.context import CheckContext
from addonkit.check.http_probe import HttpProbe
from addonkit.check.result import Finding, State
from addonkit.check.run import run_checks

__all__ = ["CheckContext", "Finding", "HttpProbe", "State", "run_checks"]
