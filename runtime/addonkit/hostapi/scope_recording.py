"""Which scopes are really used: the calls of a run, each kind of them once, in a file that ``addonkit check`` reads."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from addonkit.errors import SettingsInvalid
from addonkit.log import structlog

MOST = 10_000

log = structlog.get_logger(__name__)


class ScopeRecording:
    """A file of calls, one JSON object a line; what earlier runs wrote stays.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[tuple[str, str, str]] = set()

    def note(self, plugin: str, scope: str, resource: str) -> None:
        """Write a call down, unless one of its kind was; a full disk keeps no call from being made."""
        one = (plugin, scope, resource)
        if one in self._seen or len(self._seen) >= MOST:
            return
        self._seen.add(one)
        line = orjson.dumps({"plugin": plugin, "scope": scope, "call": resource}) + b"\n"
        try:
            # one write of a short line, appended: workers do not cut each other's lines up
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as wrong:
            log.warning("call not recorded", file=self._path.name, reason=wrong.strerror)


def recorded(path: Path) -> dict[str, frozenset[str]]:
    """The scopes that recorded calls needed, by plugin.

    Raises:
        SettingsInvalid: The file holds something else.
    """
    found: dict[str, set[str]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as wrong:
        raise SettingsInvalid(
            f"'{path}' cannot be read ({wrong.strerror}); name a file at [host] record_calls"
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            one = orjson.loads(line)
            found.setdefault(str(one["plugin"]), set()).add(str(one["scope"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise SettingsInvalid(
                f"line {number} of '{path}' is no recorded call; name another file at [host] record_calls, or delete it"
            ) from None
    return {plugin: frozenset(scopes) for plugin, scopes in found.items()}
