"""Jinja templates whose global names are put into a page's context in one step.

Jinja keeps the names of a template and those of its environment in a ``ChainMap``, and reads it name by name for each
page, which takes as long as the rest of rendering a small one.
"""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from jinja2 import Template
from jinja2.runtime import Context, new_context
from quart.templating import Environment


class PageTemplate(Template):
    """A template; see :class:`jinja2.Template`."""

    def new_context(self, vars: dict[str, Any] | None = None, shared: bool = False, locals: Any = None) -> Context:  # noqa: A002 - Jinja passes them by name
        """Return the context of one page, with the global names that are known now."""
        names = self.globals
        if isinstance(names, ChainMap):
            parts = reversed(names.maps)
            names = {}
            for part in parts:
                names.update(part)
        return new_context(self.environment, self.name, self.blocks, vars, shared, names, locals)


class PageEnvironment(Environment):
    """Quart's environment, with :class:`PageTemplate` for its templates."""

    template_class = PageTemplate
