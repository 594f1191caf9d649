"""Reads the metrics of an add-on, with the operator's token."""

from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-of-the-operators-0123456789"
BEARER = [("authorization", f"Bearer {TOKEN}")]


async def samples(wire):
    answer = await wire.ask("GET", "/metrics", BEARER)
    assert answer.status == 200
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


async def value(wire, name, **labels):
    """Return the sum of all samples with these labels; None if there are none."""
    found = [one.value for one in await samples(wire) if one.name == name and labels.items() <= one.labels.items()]
    return sum(found) if found else None


async def growth(wire, action, name, **labels):
    """Return by how much a metric grows during an action."""
    before = await value(wire, name, **labels) or 0
    await action
    return (await value(wire, name, **labels) or 0) - before
