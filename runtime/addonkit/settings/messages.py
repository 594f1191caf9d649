"""Turns a validation error of settings into one sentence that contains no secret."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from addonkit.text import near_matches
from addonkit.validation_errors import FirstError, first_error

_SECRET_WORDS = ("key", "secret", "token", "password", "database", "proxy")
"""Parts of names whose values are omitted from messages."""


def error_message(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first error in one sentence, with a near match for an unknown key and without a secret value."""
    first = first_error(error)
    also = f" (and {first.others} more)" if first.others else ""
    if first.type == "extra_forbidden":
        names = _names_at(model, first.path[:-1])
        return f"'{first.place}' is not a setting; {_suggestion(str(first.path[-1]), names)}{also}"
    if first.type == "missing":
        return f"'{first.place}' is missing; set it in the file or in the environment{also}"
    place = f"'{first.place}': " if first.place else ""
    return f"{place}{first.message[:1].lower()}{first.message[1:]}{_found(first)}{also}"


def _suggestion(name: str, names: list[str]) -> str:
    if close := near_matches(name, names, 0.6):
        return f"did you mean '{close[0]}'"
    return f"known are {', '.join(sorted(names))}" if names else "remove it"


def _found(error: FirstError) -> str:
    """Quote the invalid value, unless our own message has done so or the value may be a secret."""
    if error.is_ours or any(word in error.place.lower() for word in _SECRET_WORDS):
        return ""
    is_text = isinstance(error.value, str)
    remedy = "; write it as JSON" if error.type in ("list_type", "dict_type") and is_text else ""
    return f", found {error.value!r:.80}{remedy}"


def _names_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        table = None if field is None else model_of(field.annotation)
        if table is None:
            return []
        model = table
    return list(model.model_fields)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a table from a field's annotation, ``X`` or ``X | None``; None for another value."""
    for one in get_args(annotation) or (annotation,):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None
