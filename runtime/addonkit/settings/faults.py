"""What is wrong with a value, as one sentence that gives no secret away."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_TOLD_TO_NOBODY = ("key", "secret", "token", "password", "database")
"""Parts of names whose values are left out of messages."""


def sentence(wrong: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a validation as one sentence, with near matches for an unknown key and no secret value."""
    first, *more = wrong.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"])
    also = f" (and {len(more)} more)" if more else ""
    if first["type"] == "extra_forbidden":
        return f"'{place}' is no setting; {_near(str(first['loc'][-1]), _names_at(model, first['loc'][:-1]))}{also}"
    if first["type"] == "missing":
        return f"'{place}' is missing; set it in the file or by the environment{also}"
    said = first["msg"].removeprefix("Value error, ")
    return f"{f'{place!r}: ' if place else ''}{said[:1].lower()}{said[1:]}{_found(first)}{also}"


def _near(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"did you mean '{close[0]}'"
    return f"known are {', '.join(sorted(names))}" if names else "drop it"


def _found(fault: ErrorDetails) -> str:
    """What stood there, unless our own sentence has said it or nobody may read it."""
    place = ".".join(str(part) for part in fault["loc"]).lower()
    if fault["type"] in ("value_error", "assertion_error") or any(word in place for word in _TOLD_TO_NOBODY):
        return ""
    remedy = (
        "; write it as JSON" if fault["type"] in ("list_type", "dict_type") and isinstance(fault["input"], str) else ""
    )
    return f", found {fault['input']!r:.80}{remedy}"


def _names_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)
