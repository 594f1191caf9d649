"""Differences of ``app``: the app itself, its link to the Connect add-on, licensing, products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addonkit.forge.differences.difference import Difference, pairs, step
from addonkit.forge.differences.remotes import addresses, remote_named
from addonkit.forge.findings import mapping_at, shown, value_at

_KNOWN = ("id", "connect", "licensing", "access", "compatibility")


def app_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of ``app``."""
    if value_at(old, "app", "id") != value_at(new, "app", "id"):
        ids = step(value_at(old, "app", "id"), value_at(new, "app", "id"))
        yield Difference("app-changed", ids, "/app/id")
    yield from _connect(old, new)
    yield from _licensing(old, new)
    yield from _products(old, new)
    for name, before, after in pairs(mapping_at(old, "app"), mapping_at(new, "app")):
        if name == "access":
            yield Difference("user-access", step(before, after), "/app/access", after is None)
        elif name not in _KNOWN:
            yield Difference("app-options", f"app.{name}: {step(before, after)}", f"/app/{name}", after is None)


def _connect(old: Any, new: Any) -> Iterator[Difference]:
    before, after = mapping_at(old, "app", "connect"), mapping_at(new, "app", "connect")
    for name, former, present in pairs(before, after):
        pointer, is_removed = f"/app/connect/{name}", present is None
        if name == "key":
            change = "added" if former is None else "removed" if is_removed else "changed"
            yield Difference(f"connect-key-{change}", step(former, present), pointer, is_removed)
        elif name == "remote":
            yield from _connect_remote(old, new, former, present)
        else:
            yield Difference("app-options", f"app.connect.{name}: {step(former, present)}", pointer, is_removed)


def _connect_remote(old: Any, new: Any, former: Any, present: Any) -> Iterator[Difference]:
    if present is None:
        yield Difference("connect-remote-removed", shown(former), "/app/connect/remote", is_removed=True)
        return
    if former is None:  # the rules of remotes decide about the remote itself
        yield Difference("app-options", f"app.connect.remote: {step(former, present)}", "/app/connect/remote")
        return
    was, is_now = (addresses(remote_named(document, name)) for document, name in ((old, former), (new, present)))
    rule = "connect-remote-changed" if was == is_now else "connect-remote-moved"
    yield Difference(rule, step(former, present), "/app/connect/remote")


def _licensing(old: Any, new: Any) -> Iterator[Difference]:
    before, after = mapping_at(old, "app", "licensing"), mapping_at(new, "app", "licensing")
    was, is_now = before.get("enabled") is True, after.get("enabled") is True
    if was != is_now:
        yield Difference("licence-on" if is_now else "licence-off", step(was, is_now), "/app/licensing", not after)
    for name, former, present in pairs(before, after):
        if name != "enabled":
            pointer = f"/app/licensing/{name}"
            yield Difference("licence-options", f"{name}: {step(former, present)}", pointer, present is None)


def _products(old: Any, new: Any) -> Iterator[Difference]:
    before, after = mapping_at(old, "app", "compatibility"), mapping_at(new, "app", "compatibility")
    for name, former, present in pairs(before, after):
        pointer = f"/app/compatibility/{name}"
        was, is_now = (_is_required(one) for one in (former, present))
        if former is None and not (is_now and before):
            yield Difference("product-added", name, pointer)
        elif present is None or was != is_now:
            what = f"{name}, required: {step(was, is_now)}" if present is not None else name
            yield Difference("product-removed", what, pointer, present is None)
        else:
            yield Difference("app-options", f"app.compatibility.{name}", pointer)


def _is_required(product: Any) -> bool:
    return value_at(product, "required") is True
