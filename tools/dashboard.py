"""Writes the Grafana dashboard ``deploy/grafana/addonkit.json``: ``python tools/dashboard.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dashboard_panel import PROCESS, Panel
from dashboard_rows import ROWS

FILE = Path(__file__).parent.parent / "deploy" / "grafana" / "addonkit.json"
UID = "addonkit"
SCHEMA = 39
"""Version of Grafana's dashboard schema: that of Grafana 10.3; later releases convert it."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, STAT_HEIGHT, GRAPH_HEIGHT = 24, 4, 8


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's format."""
    return {
        "uid": UID,
        "title": "addonkit",
        "description": "Add-ons for Jira and Confluence. Made by tools/dashboard.py; docs/monitoring.md describes it.",
        "tags": ["addonkit"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "timezone": "",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": list(_variables())},
        "annotations": {"list": [_firing_alerts()]},
        "panels": list(_placed(ROWS)),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}
    yield _variable("addon", "Add-on", "label_values(addonkit_build_info, addon)")
    yield _variable("instance", "Instance", 'label_values(addonkit_build_info{addon=~"$addon"}, instance)')
    yield _variable("plugin", "Plugin", f"label_values(addonkit_jobs_pending{{{PROCESS}}}, plugin)")


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable with the values of a label; "All" also selects series without the label."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _firing_alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Addonkit.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{addon}} {{plugin}} {{instance}}",
        "step": "60s",
    }


def _placed(rows: dict[str, tuple[Panel, ...]]) -> Iterator[dict[str, Any]]:
    """Yield the rows and their panels, from left to right and from top to bottom."""
    number = top = 0
    for title, panels in rows.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        top, left, height = top + 1, 0, 0
        for panel in panels:
            number += 1
            if left + panel.width > COLUMNS:
                top, left = top + height, 0
            height = STAT_HEIGHT if panel.is_stat else GRAPH_HEIGHT
            yield {"id": number, "gridPos": {"x": left, "y": top, "w": panel.width, "h": height}, **_panel(panel)}
            left += panel.width
        top += height


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": query, "legendFormat": legend, "range": True}
        for place, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _stat_options() if panel.is_stat else _graph_options(),
    }


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit, "min": None if panel.is_stat else 0}
    if panel.is_stat:
        field |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": _steps(panel.alarm)}}
    else:
        stacking = {"mode": "normal" if panel.is_stacked else "none", "group": "A"}
        field["custom"] = {"fillOpacity": 30 if panel.is_stacked else 5, "showPoints": "never", "stacking": stacking}
    return field


def _steps(alarm: float | None) -> Sequence[dict[str, Any]]:
    """Return the colours of a number: the first applies from minus infinity on."""
    if alarm is None:
        return [{"color": "green", "value": None}]
    low, high = ("green", "red") if alarm >= 0 else ("red", "green")
    return [{"color": low, "value": None}, {"color": high, "value": abs(alarm)}]


def _stat_options() -> dict[str, Any]:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "textMode": "auto"}


def _graph_options() -> dict[str, Any]:
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """Return the content of the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
