"""Checks a manifest by the runtime's own rules, without npm; ``validator`` asks Forge's own packages as well.

The rules cover what the validator of Forge refuses, and what it accepts although the add-on could not work: the bodies
of Connect modules, base URLs, events and their scopes, operations of remotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from addonkit.forge.findings import Finding
from addonkit.forge.rules.app import check_app
from addonkit.forge.rules.egress import check_egress
from addonkit.forge.rules.forms import check_forms
from addonkit.forge.rules.modules import check_modules
from addonkit.forge.rules.remotes import check_references, check_remotes
from addonkit.forge.rules.scopes import check_events, check_scopes, check_webhooks
from addonkit.forge.rules.variables import check_variables, replace_variables


def check_manifest(
    document: Any, *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Return what is wrong in a manifest, in the order of its parts, each place and message once.

    Args:
        document: The manifest as plain objects, lists and values, of any form.
        folder: The folder of its file, where files that it names are looked up; None to look up none.
        environment: The values of variables that the manifest declares.
    """
    values = environment or {}
    found = [*check_variables(document, values), *_by_part(replace_variables(document, values), folder)]
    return tuple(dict.fromkeys(found))


def _by_part(document: Any, folder: Path | None) -> Iterator[Finding]:
    yield from check_forms(document)
    yield from check_app(document)
    yield from check_remotes(document)
    yield from check_modules(document, folder)
    yield from check_webhooks(document)
    yield from check_events(document)
    yield from check_references(document)
    yield from check_scopes(document)
    yield from check_egress(document)
