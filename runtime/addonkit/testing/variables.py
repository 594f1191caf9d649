"""Fills host variables and macro parameters into the URLs of modules, as the product does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus

_VARIABLE = re.compile(r"\$?\{([^{}]*)\}")
_CONTEXT_OBJECTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "jira": frozenset({"issue", "project"}),
        "confluence": frozenset({"content", "space", "macro"}),
    }
)


@dataclass(frozen=True, slots=True)
class Variables:
    """Values of host variables.

    Attributes:
        values: Values by variable name: ``{"issue.key": "AB-1"}``.
    """

    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, **objects: Mapping[str, Any]) -> Variables:
        """Return the variables of host objects: ``of(issue={"key": "AB-1"})``.

        Args:
            objects: The fields of each object, by the object's name; ``parameters`` holds the parameters of a macro,
                which have no prefix.
        """
        values: dict[str, str] = {}
        for name, fields in objects.items():
            if not isinstance(fields, Mapping):
                raise AssertionError(f"'{name}' is {fields!r}, expected the fields of an object: {name}={{'id': '1'}}")
            prefix = "" if name == "parameters" else f"{name}."
            values.update({f"{prefix}{key}": str(value) for key, value in fields.items()})
        return cls(MappingProxyType(values))

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Variables:
        """Return the variables of the objects in a webhook's body, such as ``issue.id``.

        Args:
            body: The body as Jira sends it, with the issue's project among the issue's fields.
        """
        issue = body.get("issue")
        fields = issue.get("fields") if isinstance(issue, Mapping) else None
        project = fields.get("project") if isinstance(fields, Mapping) else None
        found = {name: value for name, value in {"project": project, **body}.items() if isinstance(value, Mapping)}
        return cls.of(
            **{
                name: {key: value for key, value in value.items() if isinstance(value, str | int)}
                for name, value in found.items()
            }
        )

    def context(self, product: str) -> dict[str, Any]:
        """Return the ``context`` claim of a token for a page with these variables.

        Args:
            product: ``"jira"`` or ``"confluence"``.
        """
        objects: dict[str, dict[str, str]] = {}
        for name, value in self.values.items():
            owner, dot, key = name.partition(".")
            if dot and owner in _CONTEXT_OBJECTS[product]:
                objects.setdefault(owner, {})[key] = value
        return {product: objects} if objects else {}

    def fill(self, url: str) -> str:
        """Replace the variables in a URL as the product does.

        Source: ``{name}`` in modules and ``${name}`` in webhooks; values are percent-encoded in the path and
        form-encoded in the query; a variable without a value becomes empty.
        """
        path, separator, query = url.partition("?")
        filled = _VARIABLE.sub(lambda match: quote(self.values.get(match[1], ""), safe=""), path)
        return filled + separator + _VARIABLE.sub(lambda match: quote_plus(self.values.get(match[1], "")), query)
