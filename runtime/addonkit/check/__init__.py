"""Checks behind ``addonkit check``: each examines one part of a deployment and reports what is wrong; none changes it.

``configuration`` and ``database`` check this machine; ``address`` and ``tls`` check the add-on over the network through
``http_probe``. ``token`` explains why one token is refused.
"""

from addonkit.check.context import CheckContext, Result, State
from addonkit.check.http_probe import HttpProbe
from addonkit.check.run import run_checks

__all__ = ["CheckContext", "HttpProbe", "Result", "State", "run_checks"]
