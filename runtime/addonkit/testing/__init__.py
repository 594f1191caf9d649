"""Test tools for plugins: a simulated host that installs an add-on, opens its pages and signs its requests.

All tokens have real signatures, and the add-on verifies them as in production. Names are imported on first use, because
every pytest run on the machine loads this package for its fixtures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.protocol.canonical import query_hash
    from addonkit.testing import databases
    from addonkit.testing.asgi import Application
    from addonkit.testing.assembly import assemble_as_served
    from addonkit.testing.exchange import RecordedRequest, Reply
    from addonkit.testing.host import Host
    from addonkit.testing.keys import InstallKeys
    from addonkit.testing.limits import rate_limited
    from addonkit.testing.lists import paged_list
    from addonkit.testing.loopback import StartFailed, bind, serving
    from addonkit.testing.modules import Descriptor, module_of, modules_of
    from addonkit.testing.page import Page
    from addonkit.testing.rest import RestApi, SignatureRejected
    from addonkit.testing.site import Site
    from addonkit.testing.variables import Variables

__all__ = [
    "Application",
    "Descriptor",
    "Host",
    "InstallKeys",
    "Page",
    "RecordedRequest",
    "Reply",
    "RestApi",
    "SignatureRejected",
    "Site",
    "StartFailed",
    "Variables",
    "assemble_as_served",
    "bind",
    "databases",
    "module_of",
    "modules_of",
    "paged_list",
    "query_hash",
    "rate_limited",
    "serving",
]

_MODULES = {
    "Application": "asgi",
    "Descriptor": "modules",
    "Host": "host",
    "InstallKeys": "keys",
    "Page": "page",
    "RecordedRequest": "exchange",
    "Reply": "exchange",
    "RestApi": "rest",
    "SignatureRejected": "rest",
    "Site": "site",
    "StartFailed": "loopback",
    "Variables": "variables",
    "assemble_as_served": "assembly",
    "bind": "loopback",
    "module_of": "modules",
    "modules_of": "modules",
    "paged_list": "lists",
    "query_hash": "site",
    "rate_limited": "limits",
    "serving": "loopback",
}
"""The module that defines each name."""


def __getattr__(name: str) -> Any:
    if name == "databases":
        return import_module(f"{__name__}.databases")
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
