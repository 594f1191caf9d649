"""Reads settings from overrides, the environment, a folder of secrets and the file, and merges them.

In order of precedence: overrides in code, environment variables (``ADDONKIT_ADDON__BASE_URL``), files in
``ADDONKIT_SECRETS_DIR`` (one for each value, named like the variable in lower case and without ``ADDONKIT_``), and the
TOML file. Lists and tables in the environment and in those files are JSON.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from addonkit.errors import SettingsInvalid
from addonkit.settings.messages import error_message, model_of
from addonkit.settings.sections import Settings
from addonkit.settings.worker_number import LEVEL_VARIABLE, NUMBER_VARIABLE
from addonkit.text import near_matches

PREFIX = "ADDONKIT_"
PLAIN_VARIABLES = ("ADDONKIT_CONFIG", "ADDONKIT_SECRETS_DIR", NUMBER_VARIABLE, LEVEL_VARIABLE)
"""Environment variables of addonkit that are not settings."""
DEFAULT_FILE = "addon.toml"


def configuration_at(path: Path | None = None) -> Path:
    """Return the configuration file: this one, else ``ADDONKIT_CONFIG``, else ``addon.toml`` in the current folder."""
    return (path or Path(os.environ.get("ADDONKIT_CONFIG") or DEFAULT_FILE)).absolute()


def read_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read and validate a deployment's configuration.

    Args:
        path: The file; None reads the environment and the secrets only.
        overrides: Sections and keys that take precedence over all others, such as ``{"addon": {"base_url": …}}``.

    Raises:
        SettingsInvalid: The first invalid value, with its place and what was expected.
    """
    found = _read_file(path) if path else {}
    for above in (_read_secrets(), _read_environment(), overrides or {}):
        found = _merge(found, above)
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        where = variable_of(error.errors()[0]["loc"]) or (path.name if path else "the configuration")
        raise SettingsInvalid(f"{where}: {error_message(error, Settings)}") from None


def variable_of(place: Iterable[int | str]) -> str | None:
    """Return the environment variable that sets the value at a path; None if it is not set."""
    variable = PREFIX + "__".join(str(part).upper() for part in place)
    return variable if variable in os.environ else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(
            f"no configuration at '{path}'; create one, or name another with --config or ADDONKIT_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"'{path}' is not valid TOML: {error}; correct the file") from None
    except OSError as error:
        raise SettingsInvalid(
            f"'{path}' cannot be read: {error.strerror}; name a readable file with --config"
        ) from None


def _read_secrets() -> dict[str, Any]:
    """Read values from files such as ``security__encryption_keys``; hidden files and folders are ignored."""
    folder = os.environ.get("ADDONKIT_SECRETS_DIR")
    if not folder:
        return {}
    try:
        files = [file for file in sorted(Path(folder).iterdir()) if file.is_file() and not file.name.startswith(".")]
        texts = {PREFIX + file.name.upper().removeprefix(PREFIX): file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a file in it is not UTF-8 text"
        raise SettingsInvalid(
            f"ADDONKIT_SECRETS_DIR names '{folder}', which cannot be read: {reason}; name a folder with one file for "
            "each value"
        ) from None
    return _tables(texts, f"the folder '{folder}'")


def _read_environment() -> dict[str, Any]:
    ours = {name: text for name, text in os.environ.items() if name.startswith(PREFIX) and name not in PLAIN_VARIABLES}
    return _tables(ours, "the environment")


def _tables(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    """Build the tables that variables such as ``ADDONKIT_ADDON__NAME`` set."""
    found: dict[str, Any] = {}
    for variable, text in texts.items():
        section, *names = variable.removeprefix(PREFIX).lower().split("__")
        if not names and not _resembles_setting(section):
            continue  # a variable of another program, such as the tests
        if section not in Settings.model_fields or not names:
            raise SettingsInvalid(f"{where} contains '{variable}', which is not a setting; {_suggestion(section)}")
        value = _parsed(text.strip())
        for name in reversed(names):
            value = {name: value}
        found = _merge(found, {section: value})
    return found


def _resembles_setting(name: str) -> bool:
    """Return whether a variable without a section was probably meant as a setting."""
    return bool(near_matches(name, _variables(), 0.85))


def _variables() -> dict[str, str]:
    """Return the environment variable of each section and each setting by name."""
    sections = {section: f"{PREFIX}{section.upper()}__…" for section in Settings.model_fields}
    settings = {
        key: f"{PREFIX}{section.upper()}__{key.upper()}"
        for section, field in Settings.model_fields.items()
        if (table := model_of(field.annotation)) is not None
        for key in table.model_fields
    }
    return settings | sections


def _suggestion(name: str) -> str:
    """Return a hint with the variable that was probably meant."""
    known = _variables()
    if close := near_matches(name, known, 0.6):
        return f"did you mean '{known[close[0]]}'"
    return f"write it as {PREFIX}<section>__<key>, with a section of {', '.join(Settings.model_fields)}"


def _parsed(text: str) -> Any:
    try:
        return from_json(text) if text[:1] in ("[", "{") else text
    except ValueError:
        return text


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
