"""The dashboard in ``deploy/grafana``, and its queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.deploy_folder import DEPLOY

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "addonkit.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {"$addon": ".*", "$instance": ".*", "$plugin": ".*", "$__rate_interval": "5m"}


def queries() -> Iterator[tuple[str, str, str]]:
    """Title of the panel, query and legend of each query of the dashboard."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def filled(query: str) -> str:
    """A query with the values of the dashboard's variables."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query
