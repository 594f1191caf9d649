"""``permissions.external`` and ``permissions.content``: what pages of the app may load and call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.findings import Finding, child, error, mapping_at, meant, shown, value_at, warning
from addonkit.forge.rules.forms import YES_NO, Fields, OneOf, Text, check_form

_KINDS = ("fonts", "frames", "images", "media", "navigation", "scripts", "styles")
_SIDES = ("client", "backend")
_ADDRESS = Fields({"address": Text(), "category": OneOf(("analytics",)), "inScopeEUD": YES_NO}, ("address",))
_REMOTE = Fields({"remote": Text()}, ("remote",))
_SCRIPTS = ("unsafe-inline", "unsafe-eval", "unsafe-hashes", "blob:")
_SCHEME = re.compile(r"[a-zA-Z]+:")
# Source: PROTOCOL_BLOCKLIST of @forge/manifest 13.7.0.
_OTHER_SCHEMES = (
    "javascript:",
    "data:",
    "vbscript:",
    "view-source:",
    "resource:",
    "about:",
    "chrome:",
    "livescript:",
    "mocha:",
    "file:",
    "mhtml:",
    "smb:",
)
_HASH = re.compile(r"sha(256-[a-zA-Z0-9=+/]{44}|384-[a-zA-Z0-9=+/]{64}|512-[a-zA-Z0-9=+/]{88})")


def check_egress(document: Any) -> Iterator[Finding]:
    """Yield entries of the wrong form, and addresses that Forge refuses."""
    if "external" in mapping_at(document, "permissions"):
        external = value_at(document, "permissions", "external")
        pointer = "/permissions/external"
        form = Fields(dict.fromkeys((*_KINDS, "fetch", "configurable")))
        yield from check_form(pointer, external, form)
        for kind in _KINDS:
            yield from _entries(child(pointer, kind), mapping_at(external).get(kind, []), takes_remote=False)
        if "fetch" in mapping_at(external):
            fetch = mapping_at(external)["fetch"]
            yield from check_form(f"{pointer}/fetch", fetch, Fields(dict.fromkeys(_SIDES)))
            for side in _SIDES:
                yield from _entries(f"{pointer}/fetch/{side}", mapping_at(fetch).get(side, []), takes_remote=True)
    scripts = value_at(document, "permissions", "content", "scripts")
    for place, script in enumerate(scripts if isinstance(scripts, list) else ()):
        if isinstance(script, str) and script not in _SCRIPTS and not _HASH.fullmatch(script):
            yield error(
                f"/permissions/content/scripts/{place}",
                f"permissions.content.scripts contains {shown(script)}, which Forge does not know; "
                f"{meant(script, _SCRIPTS, 'use unsafe-inline, unsafe-eval, unsafe-hashes, blob: or a hash')}",
            )


def _entries(pointer: str, entries: Any, *, takes_remote: bool) -> Iterator[Finding]:
    if not isinstance(entries, list):
        yield error(pointer, f"{pointer.rpartition('/')[2]} is {shown(entries)}, expected a list; write '- address: …'")
        return
    for place, entry in enumerate(entries):
        yield from _entry(child(pointer, place), pointer.rpartition("/")[2], entry, takes_remote=takes_remote)


def _entry(pointer: str, kind: str, entry: Any, *, takes_remote: bool) -> Iterator[Finding]:
    if isinstance(entry, str):
        # Source: PermissionsValidator of @forge/manifest 13.7.0 names this a warning and refuses the manifest.
        yield error(pointer, f"{kind} has the text {shown(entry)}, but texts are refused; write '- address: {entry}'")
        yield from _address(pointer, kind, entry)
        return
    if isinstance(entry, Mapping) and "remote" in entry and "address" not in entry:
        if takes_remote:
            yield from check_form(pointer, entry, _REMOTE)
        else:
            yield error(pointer, f"{kind} names a remote, but takes addresses only; write '- address: https://…'")
        return
    yield from check_form(pointer, entry, _ADDRESS)
    if isinstance(entry, Mapping) and isinstance(entry.get("address"), str):
        yield from _address(f"{pointer}/address", kind, entry["address"])


def _address(pointer: str, kind: str, address: str) -> Iterator[Finding]:
    if "${" in address:
        return
    if address == "*":
        yield warning(pointer, f"{kind} allows every address; name those that the app needs")
    elif not _has_scheme_of_an_app(address):
        host = re.sub(r"^(https|wss)://", "", address)
        if not re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)+\.?(:[0-9]{1,5})?([/?#]\S*)?", host):
            yield error(
                pointer,
                f"{kind} has the address {shown(address)}, which Forge refuses; write 'https://host.example.com'",
            )


def _has_scheme_of_an_app(address: str) -> bool:
    """Whether the address has a scheme such as ``slack:``, which Forge accepts whatever follows."""
    return bool(_SCHEME.match(address)) and not address.startswith((*_OTHER_SCHEMES, "http", "wss:"))
