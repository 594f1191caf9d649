"""What a handler that a plugin's author wrote names: its parameters with their types, each to be filled by its name."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from addonkit.errors import PluginError


def signature_of(handler: Callable[..., Any], plugin: str) -> tuple[tuple[inspect.Parameter, Any], ...]:
    """Each parameter of a handler, and its type; ``Any`` where there is none.

    Args:
        handler: The function.
        plugin: The plugin's name.

    Raises:
        PluginError: A type cannot be found, or a parameter has no name to be filled by.
    """
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except NameError as missing:
        raise PluginError(
            f"plugin '{plugin}' annotates '{handler.__name__}' with a name that cannot be found ({missing.name}); "
            "import it outside of TYPE_CHECKING",
            plugin=plugin,
        ) from None
    # annotations as they are meant, for with the __future__ import they are text
    written = inspect.signature(handler).parameters.values()
    parameters = [one.replace(annotation=hints.get(one.name, one.empty)) for one in written]
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise PluginError(
                f"plugin '{plugin}' takes '{parameter}' in '{handler.__name__}', and values are handed over by name; "
                "write each name out",
                plugin=plugin,
            )
    return tuple((one, hints.get(one.name, Any)) for one in parameters)
