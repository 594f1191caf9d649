"""A panel of the Grafana dashboard, and the kinds of queries that panels show.

Queries select by the dashboard's variables ``$addon``, ``$instance`` and ``$plugin``. The value of "All" is ``.*``,
which matches series without the label, too. The numbers of jobs are the same in all processes of an add-on: panels show
their maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

PROCESS = 'addon=~"$addon", instance=~"$instance"'
PLUGIN = f'{PROCESS}, plugin=~"$plugin"'
RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: Its title.
        unit: Unit of its values, by Grafana's names.
        queries: Pairs of a query and the legend of its series.
        about: What it shows, for the tooltip.
        width: In columns, of which a row has 24.
        alarm: From which value a panel with one number is red, or up to which one if it is negative; None: never.
        is_stat: Whether it shows the last value in place of a graph.
        is_stacked: Whether the series add up to a total.
    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    width: int = 8
    alarm: float | None = None
    is_stat: bool = False
    is_stacked: bool = False


def stat(title: str, unit: str, query: str, about: str, alarm: float | None = None) -> Panel:
    """Return a panel with the last value of one query, by add-on."""
    return Panel(title, unit, ((query, "{{addon}}"),), about, width=3, alarm=alarm, is_stat=True)


def graph(title: str, unit: str, *queries: tuple[str, str], about: str = "", stacked: bool = False) -> Panel:
    """Return a panel with a graph, of which three stand beside each other."""
    return Panel(title, unit, queries, about, is_stacked=stacked)


def total(by: str, metric: str, labels: str) -> str:
    """Return the rate of a counter per second, added up by some labels."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{RATE}]))"


def percentile(share: float, by: str, metric: str, labels: str) -> str:
    """Return a percentile of a histogram, by some labels."""
    return f"histogram_quantile({share}, {total(f'{by}, le', f'{metric}_bucket', labels)})"


def largest(by: str, metric: str, labels: str) -> str:
    """Return the maximum of a value that is the same in all processes, by some labels."""
    return f"max by ({by}) ({metric}{{{labels}}})"


def errors() -> str:
    """Return the share of requests that are answered with a 5xx status."""
    counter = "addonkit_inbound_requests_total"
    failed, all_requests = total("addon", counter, f'{PROCESS}, status="5xx"'), total("addon", counter, PROCESS)
    return f"({failed} or 0 * {all_requests}) / {all_requests}"
