"""Metrics as an operator scrapes them from an add-on under test."""

from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-of-the-operators-0123456789"
BEARER = [("authorization", f"Bearer {TOKEN}")]


async def samples(wire):
    answer = await wire.ask("GET", "/metrics", BEARER)
    assert answer.status == 200
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


async def value(wire, name, **labels):
    """The sum of all samples with these labels; None if there is none."""
    found = [one.value for one in await samples(wire) if one.name == name and labels.items() <= one.labels.items()]
    return sum(found) if found else None


async def grown(wire, happen, name, **labels):
    """By how much a number grows while something happens."""
    before = await value(wire, name, **labels) or 0
    await happen
    return (await value(wire, name, **labels) or 0) - before
