"""Is the configuration a good one, beyond what its own checks refuse at every start?"""

from __future__ import annotations

import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from addonkit.check.context import CheckContext
from addonkit.check.result import Remark, ok, warn
from addonkit.settings.reading import PREFIX

READABLE_BY_ALL = 0o004


async def configuration(case: CheckContext) -> AsyncIterator[Remark]:
    """Where it comes from, who can read it, and what in it works and should not stay so."""
    path = case.deployment.path
    overrides = sorted(name for name in os.environ if name.startswith(PREFIX) and "__" in name)
    yield ok(f"{path or 'without a file'}{', then ' + ', '.join(overrides) if overrides else ''}")
    if path and (held := _secrets_in(path)) and path.stat().st_mode & READABLE_BY_ALL:
        yield warn(
            f"everybody on this machine can read the file, which holds {' and '.join(held)}; run 'chmod o= "
            f"{path.name}', or keep secrets in files that ADDONKIT_SECRETS_DIR names"
        )
    if case.deployment.settings.tenants.retention_days == 0:
        yield warn(
            "[tenants] retention_days is 0, so that a site that comes back finds none of its data; keep it some days"
        )


def _secrets_in(path: Path) -> list[str]:
    """Which secrets stand in the file itself, by the names of their settings."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    found = ["[security] encryption_keys"] if _at(tables, "security", "encryption_keys") else []
    found += [f"[database] {key}" for key in ("url", "owner_url") if _has_password(_at(tables, "database", key))]
    return found + (["[operations] metrics_token"] if _at(tables, "operations", "metrics_token") else [])


def _at(tables: Mapping[str, Any], table: str, key: str) -> Any:
    found = tables.get(table)
    return found.get(key) if isinstance(found, Mapping) else None


def _has_password(url: object) -> bool:
    parts = urlsplit(url if isinstance(url, str) else "")
    return bool(parts.password or "password=" in parts.query)
