"""Reads the constructor's arguments back from a protocol of hypercorn, to make a subclass in its place."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol


def arguments_of(plain: H11Protocol | H2Protocol) -> tuple[Any, ...]:
    """Return the arguments with which a subclass can be made in its place; both classes have the same."""
    return (
        plain.app,
        plain.config,
        plain.context,
        plain.task_group,
        plain.connection_state,
        plain.ssl,
        plain.client,
        plain.server,
        plain.send,
    )
