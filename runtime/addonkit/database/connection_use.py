"""How many connections to its database a process uses."""

from __future__ import annotations

from typing import NamedTuple


class ConnectionUse(NamedTuple):
    """The connections of one process.

    Attributes:
        in_use: Connections that run a statement or a transaction.
        waiting: Tasks that wait for a connection.
        most: The largest number of connections.
    """

    in_use: int = 0
    waiting: int = 0
    most: int = 0
