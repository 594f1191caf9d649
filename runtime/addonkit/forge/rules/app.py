"""``app``: the Connect part, and the products that the app is compatible with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addonkit.forge.findings import Finding, error, keys_at, mapping_at, meant, objects_at, value_at, warning

CONNECT = "/app/connect"


def check_app(document: Any) -> Iterator[Finding]:
    """Yield what is wrong between ``app`` and the other parts."""
    yield from _connect(document)
    yield from _compatibility(document)
    if "name" in mapping_at(document, "app"):
        yield warning(
            "/app/name", "app.name is not used any more; remove it, since the name is set at 'forge register'"
        )


def used_products(document: Any) -> frozenset[str]:
    """Return the products whose modules a manifest declares: ``jira`` and ``confluence``."""
    names = {*mapping_at(document, "connectModules"), *mapping_at(document, "modules")}
    products = {name.partition(":")[0] for name in names if ":" in name}
    if "macro" in names:
        products.add("confluence")
    if "jiraServiceManagement" in products:
        products.add("jira")
    return frozenset(products & {"jira", "confluence"})


def _connect(document: Any) -> Iterator[Finding]:
    connect = mapping_at(document, "app", "connect")
    remote, remotes = connect.get("remote"), keys_at(document, "remotes")
    if value_at(document, "connectModules") is None:
        if "authentication" in connect:
            yield error(
                f"{CONNECT}/authentication",
                "app.connect.authentication is set, but there are no connectModules; remove it, or add the modules",
            )
        if "key" in connect and "remote" not in connect and remotes:
            yield warning(
                CONNECT,
                "app.connect lacks 'remote', so the region of an installation is lost when it moves to Forge modules; "
                "name the remote that served them",
            )
        return
    if "remote" not in connect:
        yield error(CONNECT, "app.connect lacks 'remote', which connectModules require; name the key of a remote")
    elif isinstance(remote, str) and remote not in remotes:
        advice = meant(remote, remotes, "add the remote, or name another one")
        yield error(f"{CONNECT}/remote", f"app.connect.remote is '{remote}', but no remote has this key; {advice}")
    if "authentication" not in connect:
        yield warning(CONNECT, "app.connect lacks 'authentication', so the default 'jwt' is used; add it")
    for pointer, found in objects_at(document, "remotes"):
        if found.get("key") == remote and "configurable" in found:
            yield error(
                f"{pointer}/configurable",
                f"the remote '{remote}' of app.connect is configurable, which Forge refuses; remove 'configurable'",
            )


def _compatibility(document: Any) -> Iterator[Finding]:
    products = used_products(document)
    compatibility = mapping_at(document, "app", "compatibility")
    required = sorted(name for name, entry in compatibility.items() if mapping_at(entry).get("required") is True)
    if len(required) > 1:
        yield error(
            "/app/compatibility",
            f"app.compatibility requires {' and '.join(required)}, but only one product can be required; set "
            "'required: false' for the others",
        )
    if len(products) > 1 and not compatibility:
        yield warning(
            "/app",
            "the modules are of Jira and Confluence, but app.compatibility is missing, so Forge takes the app for one "
            "of one product; add both products with 'required: false'",
        )
    for product in sorted(products - set(compatibility)) if compatibility else ():
        yield warning(
            "/app/compatibility",
            f"app.compatibility lacks '{product}', whose modules the manifest declares; add it with 'required: false'",
        )
