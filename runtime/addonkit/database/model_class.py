"""Creates model classes without parsing their source, unless it has comments for fields."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tortoise.models import ModelMeta

COMMENT = b"#:"


class ModelClass(ModelMeta):
    """Tortoise's metaclass, which looks for ``#:`` comments above fields only in files that have any.

    Tortoise parses the file of each model to find them, which takes some milliseconds for each class at every start.
    """

    __slots__ = ()

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> ModelClass:
        """Create a model class."""
        if not _may_have_comments(attrs.get("__module__", "")):
            attrs["_no_comments"] = True
        created: ModelClass = super().__new__(cls, name, bases, attrs)  # type: ignore[assignment]
        return created


def _may_have_comments(module: str) -> bool:
    """Whether the file of a module has comments for fields, or cannot be read."""
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        return file is None or COMMENT in Path(file).read_bytes()
    except OSError:
        return True
