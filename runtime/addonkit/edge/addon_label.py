"""The label ``addon`` of metrics, which tells several add-ons apart that are scraped from one machine."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

ADDON_LABEL = "addon"


class WithAddonLabel(Collector):
    """Collects the metrics of another collector, and adds the label ``addon`` to all of them.

    Args:
        source: The other collector.
        addon: The add-on's key.
    """

    def __init__(self, source: Collector, addon: str) -> None:
        self._source, self._addon = source, addon

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as copies with the label."""
        for family in self._source.collect():
            labelled = Metric(family.name, family.documentation, family.type, family.unit)
            labelled.samples = [
                sample._replace(labels={ADDON_LABEL: self._addon, **sample.labels}) for sample in family.samples
            ]
            yield labelled
