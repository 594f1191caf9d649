"""Where settings are read from: the file, the environment, a folder of secrets, and what code says over all.

Values come, strongest first, from overrides in code, the environment (``ADDONKIT_ADDON__BASE_URL``), files in
``ADDONKIT_SECRETS_DIR`` (one a value, named like the variable, in lower case and without ``ADDONKIT_``), and the file.
Lists and tables are written as JSON in the environment and in those files.
"""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from addonkit.errors import SettingsInvalid
from addonkit.settings.messages import error_message
from addonkit.settings.sections import Settings
from addonkit.text import near_matches

PREFIX = "ADDONKIT_"
PLAIN_VARIABLES = ("ADDONKIT_CONFIG", "ADDONKIT_SECRETS_DIR", "ADDONKIT_WORKER")
"""Variables of ours that are no setting."""
DEFAULT_FILE = "addon.toml"


def configuration_at(path: Path | None = None) -> Path:
    """The file of the configuration: this one, else what ``ADDONKIT_CONFIG`` names, else ``addon.toml`` here."""
    return (path or Path(os.environ.get("ADDONKIT_CONFIG") or DEFAULT_FILE)).absolute()


def read_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The configuration of a deployment.

    Args:
        path: The file; None reads the environment alone.
        overrides: Sections and keys that win over everything, such as ``{"addon": {"base_url": …}}``.

    Raises:
        SettingsInvalid: With one sentence that names the place, what was found and what was expected.
    """
    found = _read_file(path) if path else {}
    for above in (_read_secrets(), _read_environment(), overrides or {}):
        found = _merge(found, above)
    try:
        return Settings.model_validate(found)
    except ValidationError as wrong:
        where = variable_of(wrong.errors()[0]["loc"]) or (path.name if path else "the configuration")
        raise SettingsInvalid(f"{where}: {error_message(wrong, Settings)}") from None


def variable_of(place: Iterable[int | str]) -> str | None:
    """The environment's variable that sets the value at a place, or None if none does."""
    variable = PREFIX + "__".join(str(part).upper() for part in place)
    return variable if variable in os.environ else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(
            f"no configuration at '{path}'; write one, or name another with --config or ADDONKIT_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise SettingsInvalid(f"'{path}' is no TOML: {wrong}; mend the file") from None
    except OSError as wrong:
        raise SettingsInvalid(
            f"'{path}' cannot be read: {wrong.strerror}; name a readable file with --config"
        ) from None


def _read_secrets() -> dict[str, Any]:
    """Values from files such as ``security__encryption_keys``; hidden files and folders are passed over."""
    folder = os.environ.get("ADDONKIT_SECRETS_DIR")
    if not folder:
        return {}
    try:
        files = [file for file in sorted(Path(folder).iterdir()) if file.is_file() and not file.name.startswith(".")]
        texts = {PREFIX + file.name.upper().removeprefix(PREFIX): file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as wrong:
        why = wrong.strerror if isinstance(wrong, OSError) else "a file in it is no text"
        raise SettingsInvalid(
            f"ADDONKIT_SECRETS_DIR names '{folder}', which cannot be read: {why}; name a folder with one file a value"
        ) from None
    return _assigned(texts, f"the folder '{folder}'")


def _read_environment() -> dict[str, Any]:
    ours = {name: text for name, text in os.environ.items() if name.startswith(PREFIX) and name not in PLAIN_VARIABLES}
    return _assigned(ours, "the environment")


def _assigned(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    """The tables that variables such as ``ADDONKIT_ADDON__NAME`` fill."""
    found: dict[str, Any] = {}
    for variable, text in texts.items():
        section, *names = variable.removeprefix(PREFIX).lower().split("__")
        if not names and not _is_nearly_a_setting(section):
            continue
        if section not in Settings.model_fields or not names:
            raise SettingsInvalid(f"{where} holds '{variable}', which names no setting; {_hint(section)}")
        value = _value(text.strip())
        for name in reversed(names):
            value = {name: value}
        found = _merge(found, {section: value})
    return found


def _is_nearly_a_setting(name: str) -> bool:
    """Whether a variable without a section was meant for us; others are of other programs, such as tests."""
    return bool(near_matches(name, _variables(), 0.85))


def _variables() -> dict[str, str]:
    """How each section and each setting is written as a variable, by its name."""
    sections = {section: f"{PREFIX}{section.upper()}__…" for section in Settings.model_fields}
    settings = {
        key: f"{PREFIX}{section.upper()}__{key.upper()}"
        for section, field in Settings.model_fields.items()
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    }
    return settings | sections


def _hint(name: str) -> str:
    """Which variable was meant by a name that is none."""
    known = _variables()
    if close := near_matches(name, known, 0.6):
        return f"did you mean '{known[close[0]]}'"
    return f"write it as {PREFIX}<section>__<key>, with a section of {', '.join(Settings.model_fields)}"


def _value(text: str) -> Any:
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
