"""Splits the first error of a pydantic ``ValidationError`` into parts, from which callers build their messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError  # the descriptor's table is read without it

_OWN_ERRORS = ("value_error", "assertion_error")


@dataclass(frozen=True, slots=True)
class FirstError:
    """One error of a validation.

    Attributes:
        path: Keys and indexes that lead to the invalid value.
        type: pydantic's name for the kind of error: ``missing``, ``extra_forbidden``, ``int_parsing``.
        message: What is wrong, without the value.
        others: How many further errors there are.
        value: The invalid value. It may be a secret: check the path before you show it.
    """

    path: tuple[int | str, ...]
    type: str
    message: str
    others: int
    value: Any = field(repr=False)

    @property
    def place(self) -> str:
        """The path with dots, such as ``addon.plugins.0``; empty for the value as a whole."""
        return ".".join(str(part) for part in self.path)

    @property
    def is_ours(self) -> bool:
        """Whether a validator of the model raised it, so that the message is complete."""
        return self.type in _OWN_ERRORS


def first_error(error: ValidationError) -> FirstError:
    """Return the first error of a validation."""
    first, *others = error.errors(include_url=False, include_context=False)
    return FirstError(
        path=first["loc"],
        type=first["type"],
        message=first["msg"].removeprefix("Value error, "),
        others=len(others),
        value=first["input"],
    )
