"""``Finding``, what a rule says about one place of a manifest, and readers that skip parts of an unexpected form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from addonkit.text import near_matches, one_line, shortened, text_of

Level = Literal["error", "warning"]
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at one place of a manifest.

    Attributes:
        level: ``error``: Forge refuses the manifest, or the add-on cannot work with it; ``warning``: it should be
            changed.
        pointer: The place, as a JSON pointer; empty for the whole manifest.
        message: A sentence without a full stop: what was found, what was expected, and the remedy.
        line: The line in the file, where the finder knows the line but not the pointer.
    """

    level: Level
    pointer: str
    message: str
    line: int | None = None


def error(pointer: str, message: str) -> Finding:
    """Return a finding of level ``error``."""
    return Finding("error", pointer, message)


def warning(pointer: str, message: str) -> Finding:
    """Return a finding of level ``warning``."""
    return Finding("warning", pointer, message)


def child(pointer: str, name: str | int) -> str:
    """Return the pointer of a field or an index below another pointer."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def called(pointer: str) -> str:
    """Return the name of a place for a message: its path with dots, such as ``remotes[0].baseUrl``."""
    if not pointer:
        return "the manifest"
    path = ""
    for part in pointer[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        path += f"[{name}]" if name.isdigit() else f".{name}" if path else name
    return one_line(path)


def value_at(document: Any, *path: str) -> Any:
    """Return the value at a path of names; None if there is none."""
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def mapping_at(document: Any, *path: str) -> Mapping[str, Any]:
    """Return the object at a path of names, without entries whose name is no text; an empty one if there is none."""
    found = value_at(document, *path)
    if not isinstance(found, Mapping):
        return {}
    return {name: value for name, value in found.items() if isinstance(name, str)}


def objects_at(document: Any, *path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of the list at a path of names, each with its pointer; anything else is skipped."""
    pointer = "".join(child("", name) for name in path)
    found = value_at(document, *path)
    for place, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, Mapping):
            yield child(pointer, place), {name: value for name, value in item.items() if isinstance(name, str)}


def keys_at(document: Any, *path: str) -> frozenset[str]:
    """Return the keys of the objects of the list at a path of names."""
    return frozenset(item["key"] for _, item in objects_at(document, *path) if isinstance(item.get("key"), str))


def meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of a sentence about an unknown name: near matches, or other advice."""
    matches = near_matches(name, known)
    return f"did you mean {either(matches)}" if matches else otherwise


def either(names: Iterable[str]) -> str:
    """Return names in quotes, joined with ``or``."""
    return " or ".join(f"'{name}'" for name in names)


def labelled(kind: str, item: Mapping[str, Any]) -> str:
    """Return what a message calls an item of a list: its kind, and its key if it has one."""
    key = item.get("key")
    return f"{kind} {shown(key)}" if isinstance(key, str) else kind


def shown(value: Any) -> str:
    """Return a value for a message: a text in quotes, an object or a list by its kind, all else as YAML writes it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{shortened(value, _LONGEST_VALUE)}'"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list) else shortened(text_of(value), _LONGEST_VALUE)
