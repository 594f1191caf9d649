"""The other side of the wire: a simulated host that installs an add-on, opens its pages and signs what it sends.

What it signs is signed for real; nothing in the runtime is switched off for it. The names are imported when they are
first asked for: every run of pytest loads this package for its fixtures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.testing.host import Host
    from addonkit.testing.keys import InstallKeys
    from addonkit.testing.page import Page
    from addonkit.testing.rest import Asked, Reply, Rest
    from addonkit.testing.site import Site
    from addonkit.testing.variables import Variables

__all__ = ["Asked", "Host", "InstallKeys", "Page", "Reply", "Rest", "Site", "Variables"]

_PLACES = {
    "Host": "host",
    "InstallKeys": "keys",
    "Page": "page",
    "Rest": "rest",
    "Reply": "rest",
    "Asked": "rest",
    "Site": "site",
    "Variables": "variables",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
