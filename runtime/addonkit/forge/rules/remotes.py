"""``remotes``: base URLs that Atlassian can reach, regions, operations, tokens; and what refers to a remote."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

from addonkit.forge.findings import (
    Finding,
    child,
    error,
    keys_at,
    labelled,
    mapping_at,
    meant,
    objects_at,
    shown,
    warning,
)
from addonkit.forge.rules.forms import Fields, Text, check_form
from addonkit.forge.rules.scopes import scopes_of
from addonkit.protocol.urls import canonical_base_url
from addonkit.settings.forge_section import Region

REGIONS = ("default", *get_args(Region))
"""Names that a base URL can have. Source: RemoteBaseUrlSchema of @forge/manifest 13.7.0."""
TOKEN_SCOPES = {"appSystemToken": "read:app-system-token", "appUserToken": "read:app-user-token"}
"""The scope that each token of a remote needs."""
# Names that no public name server answers for. Source: RFC 6761, RFC 6762, RFC 8375.
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "invalid", "test")
_BASE_URLS = Fields({region: Text(r".+", "a URL", 2048) for region in REGIONS}, ("default",))


def check_remotes(document: Any) -> Iterator[Finding]:
    """Yield what is wrong with remotes."""
    seen: set[Any] = set()
    for pointer, remote in objects_at(document, "remotes"):
        key = remote.get("key")
        if isinstance(key, str) and key in seen:
            yield error(f"{pointer}/key", f"two remotes have the key '{key}'; rename one of them")
        seen.add(key if isinstance(key, str) else None)
        yield from _base_url(pointer, remote)
        yield from _operations(pointer, remote)
    yield from _regions(document)
    yield from _tokens(document)


def base_urls(remote: Mapping[str, Any]) -> dict[str, str]:
    """Return the base URLs of a remote by region; a single one is ``default``."""
    given = remote.get("baseUrl")
    named = given if isinstance(given, Mapping) else {"default": given}
    return {region: url for region, url in named.items() if isinstance(region, str) and isinstance(url, str)}


def fault_of_base_url(url: str) -> str | None:
    """Return why Atlassian cannot call a base URL, with the remedy; None if it can."""
    if not url.startswith("https://"):
        return "is not https, but Forge calls remotes over https only; use https"
    try:
        canonical_base_url(url)
    except ValueError as problem:
        return f"is not a base URL ({problem}); write it as 'https://host/path'"
    if not _is_public(urlsplit(url).hostname or ""):
        return "is not a public address, so Atlassian cannot reach it; use one that can be reached from the internet"
    return None


def _base_url(pointer: str, remote: Mapping[str, Any]) -> Iterator[Finding]:
    if "baseUrl" not in remote:
        if "configurable" not in remote:
            yield error(pointer, f"{labelled('the remote', remote)} lacks 'baseUrl'; add the URL of the add-on")
        return
    place = child(pointer, "baseUrl")
    form = _BASE_URLS if isinstance(remote["baseUrl"], Mapping) else Text(r".+", "a URL", 2048)
    yield from check_form(place, remote["baseUrl"], form)
    for region, url in base_urls(remote).items():
        # A variable without a value is reported by its own rule.
        if "${" not in url and (fault := fault_of_base_url(url)):
            at = child(place, region) if isinstance(remote["baseUrl"], Mapping) else place
            yield error(at, f"the base URL {shown_url(url)} of {labelled('the remote', remote)} {fault}")


def shown_url(url: str) -> str:
    """Return a URL for a message, unless it may contain a password."""
    return "with '@'" if "@" in url else shown(url)


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        labels = host.rstrip(".").lower()
    # A last label of digits makes an address of other forms, such as 127.1 or 0x7f.1.
    if re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", labels.rpartition(".")[2]):
        return False
    return "." in labels and not any(labels == name or labels.endswith("." + name) for name in _LOCAL_NAMES)


def _operations(pointer: str, remote: Mapping[str, Any]) -> Iterator[Finding]:
    operations = remote.get("operations")
    if "operations" not in remote:
        yield warning(
            pointer,
            f"{labelled('the remote', remote)} lacks 'operations', which Forge takes for a remote that stores "
            "data of users; name its operations: storage, compute, fetch, other",
        )
    elif isinstance(operations, list) and "storage" in operations and "inScopeEUD" not in mapping_at(remote, "storage"):
        # Source: StorageValidator of @forge/manifest 13.7.0.
        yield error(
            pointer,
            f"{labelled('the remote', remote)} has the operation 'storage' without 'storage: {{inScopeEUD: …}}'; "
            "say whether it stores data of users",
        )
    elif "storage" in remote and isinstance(operations, list) and "storage" not in operations:
        yield warning(
            f"{pointer}/operations",
            f"{labelled('the remote', remote)} says what it stores, but its operations lack 'storage'; add it",
        )


def _regions(document: Any) -> Iterator[Finding]:
    """Yield remotes that lack a region of another one. Source: RemoteRegionsValidator of @forge/manifest 13.7.0."""
    remotes = [(pointer, remote, frozenset(base_urls(remote))) for pointer, remote in objects_at(document, "remotes")]
    every = frozenset().union(*(regions for _, _, regions in remotes))
    for pointer, remote, regions in remotes:
        stores = mapping_at(remote, "storage").get("inScopeEUD") is True
        if "baseUrl" in remote and regions != every and (len(regions) > 1 or stores):
            missing = ", ".join(sorted(every - regions))
            yield error(
                f"{pointer}/baseUrl",
                f"{labelled('the remote', remote)} lacks base URLs of regions that others have ({missing}); add them",
            )


def _tokens(document: Any) -> Iterator[Finding]:
    scopes = scopes_of(document)
    lacking_all = scopes.issubset(TOKEN_SCOPES.values())
    for kind, part in (("the remote", ("remotes",)), ("the endpoint", ("modules", "endpoint"))):
        for pointer, item in objects_at(document, *part):
            for token, scope in TOKEN_SCOPES.items():
                if mapping_at(item, "auth", token).get("enabled") is not True:
                    continue
                at = f"{pointer}/auth/{token}"
                called = f"{labelled(kind, item)} enables {token}"
                if scope not in scopes:
                    yield error(at, f"{called}, but the scopes lack '{scope}'; add it, or disable the token")
                elif lacking_all:
                    yield error(at, f"{called}, but there is no scope beside those of tokens; add one of a product")


def check_references(document: Any) -> Iterator[Finding]:
    """Yield endpoints and permissions that name a remote, a service or an operation that does not exist."""
    found = objects_at(document, "remotes")
    remotes = {remote["key"]: remote for _, remote in found if isinstance(remote.get("key"), str)}
    services = keys_at(document, "services")
    for pointer, endpoint in objects_at(document, "modules", "endpoint"):
        for kind, known in (("remote", remotes), ("service", services)):
            name = endpoint.get(kind)
            if isinstance(name, str) and name not in known:
                yield error(
                    f"{pointer}/{kind}",
                    f"{labelled('the endpoint', endpoint)} names the {kind} '{name}', which does not exist; "
                    f"{meant(name, known, f'add it to {kind}s')}",
                )
    for side in ("client", "backend"):
        for pointer, entry in objects_at(document, "permissions", "external", "fetch", side):
            yield from _fetched(side, pointer, entry.get("remote"), remotes)


def _fetched(side: str, pointer: str, name: Any, remotes: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    if not isinstance(name, str):
        return
    if name not in remotes:
        advice = meant(name, remotes, "add it to remotes")
        yield error(f"{pointer}/remote", f"fetch.{side} names the remote '{name}', which does not exist; {advice}")
        return
    operations = remotes[name].get("operations")
    if isinstance(operations, list) and "fetch" not in operations:
        # Source: for calls of pages, pages of DAC on remotes; for those of functions, it is not certain.
        level = error if side == "client" else warning
        yield level(
            f"{pointer}/remote",
            f"fetch.{side} names the remote '{name}', whose operations lack 'fetch'; add it to the remote's operations",
        )
