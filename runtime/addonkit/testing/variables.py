"""What the host puts into the URLs of modules: context variables and the parameters of macros."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus

_VARIABLE = re.compile(r"\$?\{([^{}]*)\}")
_IN_CONTEXT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "jira": frozenset({"issue", "project"}),
        "confluence": frozenset({"content", "space", "macro"}),
    }
)


@dataclass(frozen=True, slots=True)
class Variables:
    """Values by the host's names, such as ``{"issue.key": "AB-1"}``.

    Attributes:
        values: The values.
    """

    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, **objects: Mapping[str, Any]) -> Variables:
        """Variables from host objects: ``of(issue={"key": "AB-1"})``.

        Args:
            objects: Each object's fields by its name; ``parameters`` are a macro's and go by their bare names.
        """
        values: dict[str, str] = {}
        for name, fields in objects.items():
            if not isinstance(fields, Mapping):
                raise AssertionError(f"'{name}' is {fields!r}, expected the fields of an object: {name}={{'id': '1'}}")
            prefix = "" if name == "parameters" else f"{name}."
            values.update({f"{prefix}{key}": str(value) for key, value in fields.items()})
        return cls(MappingProxyType(values))

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Variables:
        """What a webhook's body tells of the objects that its URL may name, such as ``issue.id``.

        Args:
            body: As Jira sends it; an issue's project stands among its fields.
        """
        issue = body.get("issue")
        fields = issue.get("fields") if isinstance(issue, Mapping) else None
        project = fields.get("project") if isinstance(fields, Mapping) else None
        told = {name: value for name, value in {"project": project, **body}.items() if isinstance(value, Mapping)}
        return cls.of(
            **{
                name: {key: value for key, value in value.items() if isinstance(value, str | int)}
                for name, value in told.items()
            }
        )

    def context(self, product: str) -> dict[str, Any]:
        """The ``context`` claim of a token made where these variables hold.

        Args:
            product: ``"jira"`` or ``"confluence"``.
        """
        objects: dict[str, dict[str, str]] = {}
        for name, value in self.values.items():
            owner, dot, key = name.partition(".")
            if dot and owner in _IN_CONTEXT[product]:
                objects.setdefault(owner, {})[key] = value
        return {product: objects} if objects else {}

    def fill(self, url: str) -> str:
        """The URL with its variables replaced as the product does.

        Source: ``{name}`` in modules and ``${name}`` in webhooks; percent-encoding in the path, form-encoding in the
        query, nothing for a variable that does not apply.
        """
        path, mark, query = url.partition("?")
        filled = _VARIABLE.sub(lambda match: quote(self.values.get(match[1], ""), safe=""), path)
        return filled + mark + _VARIABLE.sub(lambda match: quote_plus(self.values.get(match[1], "")), query)
