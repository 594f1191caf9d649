"""Checks of the configuration: its file, plugins, descriptor and scopes, and the settings of the listeners."""

from __future__ import annotations

import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from addonkit.app.plugin_migrations import index_warnings
from addonkit.app.startup import check_startup
from addonkit.check.context import CheckContext, Result, ok, skipped, warn, wrong
from addonkit.check.tls import DAY_S, WARN_DAYS
from addonkit.descriptor.scopes import IMPLIED, check_sufficient
from addonkit.errors import DescriptorInvalid
from addonkit.extension.contribution import Contribution
from addonkit.server.granian_server import require_granian
from addonkit.server.tls import earliest_expiry, load_tls
from addonkit.settings.reading import PREFIX

READABLE_BY_ALL = 0o004


async def configuration(context: CheckContext) -> AsyncIterator[Result]:
    """Report where the configuration comes from; warn about readable secrets and about a retention of 0 days."""
    path = context.deployment.path
    overrides = sorted(name for name in os.environ if name.startswith(PREFIX) and "__" in name)
    yield ok(f"{path or 'no file'}{', overridden by ' + ', '.join(overrides) if overrides else ''}")
    if path and (secrets := _secrets_in(path)) and path.stat().st_mode & READABLE_BY_ALL:
        yield warn(
            f"every user of this machine can read the file, which contains {' and '.join(secrets)}; run 'chmod o= "
            f"{path.name}', or keep secrets in files below ADDONKIT_SECRETS_DIR"
        )
    if context.deployment.settings.tenants.retention_days == 0:
        yield warn("[tenants] retention_days is 0, so a site that installs again finds no data; keep it longer")


def _secrets_in(path: Path) -> list[str]:
    """Names of the settings in a file that hold secrets."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    found = ["[security] encryption_keys"] if _setting(tables, "security", "encryption_keys") else []
    found += [f"[database] {key}" for key in ("url", "owner_url") if _has_password(_setting(tables, "database", key))]
    found += ["[host] proxy"] if _has_password(_setting(tables, "host", "proxy")) else []
    return found + (["[operations] metrics_token"] if _setting(tables, "operations", "metrics_token") else [])


def _setting(tables: Mapping[str, Any], table: str, key: str) -> Any:
    found = tables.get(table)
    return found.get(key) if isinstance(found, Mapping) else None


def _has_password(url: object) -> bool:
    parts = urlsplit(url if isinstance(url, str) else "")
    return bool(parts.password or "password=" in parts.query)


async def plugins(context: CheckContext) -> AsyncIterator[Result]:
    """Check which plugins are enabled, which are skipped or cannot be migrated, and which indexes their models lack.

    Raises:
        PluginError: A plugin cannot be used.
    """
    deployment = context.deployment
    check_startup(deployment)
    registry = deployment.registry
    yield ok(", ".join(registry.contributions))
    for one in registry.skipped:
        yield warn(f"skipped: {one.reason}")
    enabled = deployment.settings.addon.plugins
    for name, fault in deployment.storage.faults.items():
        if name not in enabled:
            yield warn(f"off, and its tables are not migrated: {fault}")
        elif name in registry.contributions:
            yield (warn if deployment.may_skip(name) else wrong)(f"cannot be migrated: {fault}")
    for advice in index_warnings(deployment):
        yield warn(advice)


async def descriptor(context: CheckContext) -> AsyncIterator[Result]:
    """Check that the descriptor can be merged, and report its size and scopes.

    Raises:
        PluginError: It breaks a rule of the host.
    """
    merged = context.deployment.descriptor
    modules = sum(len(v) if isinstance(v, list) else 1 for v in merged.document.get("modules", {}).values())
    scopes = ", ".join(merged.document.get("scopes", [])) or "no scopes"
    yield ok(f"{modules} modules, {scopes}, {len(merged.body)} bytes")


async def scopes(context: CheckContext) -> AsyncIterator[Result]:
    """Compare the scopes of each plugin with those that recorded host calls needed.

    Raises:
        PluginError: A plugin cannot be used.
        SettingsInvalid: The file is not a recording.
    """
    from addonkit.hostapi.scope_recording import read_recording

    name = context.deployment.settings.host.record_calls
    if name is None:
        yield skipped("no host calls are recorded; set [host] record_calls to a file during a run that uses everything")
        return
    file = context.deployment.directory / name
    if not file.exists():
        yield skipped(f"'{name}' does not exist yet; use the add-on once, so that its host calls are recorded")
        return
    needed, unused = read_recording(file), []
    for plugin, one in context.deployment.registry.contributions.items():
        unused += [
            f"'{scope}' of plugin '{plugin}'"
            for scope in sorted(one.scopes - {"NONE"})
            if not _is_used(scope, one, needed.get(plugin, frozenset()))
        ]
    if unused:
        yield warn(f"no recorded call needed {', '.join(unused)}; remove the scopes that the add-on does not need")
    else:
        yield ok(f"each scope was needed by a call in '{name}'")


def _is_used(scope: str, plugin: Contribution, needed: frozenset[str]) -> bool:
    """Whether a plugin needs a scope.

    It does if a recorded call or a module needs the scope, or needs one that only this scope of the plugin implies. A
    scope that another one of the plugin implies counts as needed.
    """
    others = plugin.scopes - {scope}
    held = others.union(*(IMPLIED.get(other, frozenset()) for other in others))
    if scope in needed or scope in held or (needed & IMPLIED.get(scope, frozenset())) - held:
        return True
    try:
        for module in plugin.modules:
            check_sufficient(module, others)
    except DescriptorInvalid:
        return True
    return False


async def listener(context: CheckContext) -> AsyncIterator[Result]:
    """Check the HTTP server, the certificate that the add-on serves, the operations listener, and the trusted proxies.

    Raises:
        SettingsInvalid: granian is not installed; certificate and key cannot be read, or do not match.
        VersionMismatch: Another version of granian is installed.
    """
    settings = context.deployment.settings
    if settings.server.server == "granian":
        require_granian()
    tls = load_tls(settings.server, context.deployment.directory)
    if tls is None:
        yield ok("plain HTTP" if context.is_local() else "plain HTTP, for a proxy that terminates TLS")
    else:
        for result in _certificate(context, tls.certificate):
            yield result
        if tls.key.stat().st_mode & READABLE_BY_ALL:
            yield warn(f"every user of this machine can read '{tls.key}'; run 'chmod o= {tls.key.name}'")
    for name, bind in (("bind", settings.operations.bind), ("work_bind", settings.operations.work_bind)):
        if bind and not _is_private(bind):
            yield warn(f"[operations] {name} is '{bind}', where /metrics needs no token; bind to a private address")
    if settings.log.access and tls is None and not settings.server.trusted_proxies and not context.is_local():
        yield warn("[log] access records the proxy as every client; list the proxy in [server] trusted_proxies")


def _certificate(context: CheckContext, file: Path) -> list[Result]:
    """Check the certificates of a file: the names of the first, and when one of them expires."""
    chain = x509.load_pem_x509_certificates(file.read_bytes())
    days = int((earliest_expiry(chain) - context.now()) // DAY_S)
    names = _names_in(chain[0])
    results = [ok(f"HTTPS for {', '.join(names)}")]
    if not any(_covers(name, context.hostname) for name in names):
        results.append(
            wrong(f"the certificate is not for '{context.hostname}', the name in [addon] base_url; serve another one")
        )
    which = "the certificate" if len(chain) == 1 else f"a certificate of '{file.name}'"
    if days < 0:
        results.append(wrong(f"{which} expired {-days} days ago; renew it and restart the add-on"))
    elif days < WARN_DAYS:
        results.append(warn(f"{which} expires in {days} days; renew it and restart the add-on"))
    return results


def _names_in(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _covers(name: str, hostname: str) -> bool:
    """Whether a name of a certificate matches a host name; ``*`` stands for one label."""
    if name.startswith("*."):
        return hostname.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == hostname.lower()


def _is_private(bind: str) -> bool:
    """Whether the internet cannot reach a listener: a Unix socket, loopback, or a private address."""
    host = bind.rpartition(":")[0].strip("[]")
    if bind.startswith("unix:") or host in ("", "localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified
