"""The doctor: looks at a deployment one thing at a time, says what is wrong with it, and changes nothing.

Each look is a small module here; what they share is in ``finding``, ``case`` and ``visits``. Why one token is refused
is in ``token``.
"""

from addonkit.app.doctor.case import Case
from addonkit.app.doctor.examination import examine
from addonkit.app.doctor.finding import Finding, State
from addonkit.app.doctor.visits import Visits

__all__ = ["Case", "Finding", "State", "Visits", "examine"]
