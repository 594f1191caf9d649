"""Alert rules and dashboard in ``deploy``: what they name exists in a running add-on, and each alert can fire."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from tests.distributions.third_party import ROOT
from tests.support.alert_cases import CASES
from tests.support.dashboard import DASHBOARD, PANELS, filled, queries
from tests.support.deploy_folder import DEPLOY
from tests.support.deploy_folder import parsed as parsed_command
from tests.support.monitored_addon import KEY, monitored_addon, scraped
from tests.support.prometheus_tools import (
    answer,
    check_firing,
    needs_prometheus,
    needs_promtool,
    prometheus,
    promtool,
    texts_of_firing,
)
from tests.support.promql import Expression, parsed
from tests.support.served import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
RULES = {rule["alert"]: rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]}
GUIDE = (ROOT / "docs" / "monitoring.md").read_text()
REFERENCE = (ROOT / "docs" / "operations.md").read_text()
COMMANDS = sorted(set(re.findall(r"`addonkit ([a-z][^`]*)`", GUIDE)))
OF_PROMETHEUS = {"up", "ALERTS"}
"""Series that Prometheus makes itself."""
LABELS_OF_TARGETS = {"job", "instance"}
LABELS_OF_ALERTS = {"alertname", "alertstate"}
NOT_SHOWN = {"process_virtual_memory_bytes"}


EXPRESSIONS = {**{name: rule["expr"] for name, rule in RULES.items()}, **{q: filled(q) for _, q, _ in queries()}}
BY_PLACE = pytest.mark.parametrize("text", EXPRESSIONS.values(), ids=[str(n) for n in range(len(EXPRESSIONS))])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each series that a running add-on exposes, in both formats."""
    async with monitored_addon(tmp_path_factory.mktemp("addon"), addon_label=True) as url:
        plain, openmetrics = await scraped(url), await scraped(url, "application/openmetrics-text")
    labels: dict[str, set[str]] = {}
    for text, read in ((plain, text_string_to_metric_families), (openmetrics, openmetrics_families)):
        for family in read(text):
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def unknown(expression: Expression, exposed: dict[str, set[str]]) -> list[str]:
    """The series and labels that an expression names and that do not exist."""
    general = LABELS_OF_TARGETS | {"addon"}
    missing = [one.name for one in expression.selectors if one.name not in exposed.keys() | OF_PROMETHEUS]
    found = set(general)
    for one in expression.selectors:
        own = exposed.get(one.name, set()) | general | (LABELS_OF_ALERTS if one.name == "ALERTS" else set())
        found |= own
        missing += [f"{one.name}{{{label}}}" for label, _, _ in one.matchers if label not in own]
    return missing + sorted(expression.groupings - found)


@BY_PLACE
async def test_expression_names_series_and_labels_that_exist(exposed: dict[str, set[str]], text: str) -> None:
    assert unknown(parsed(text), exposed) == []


@pytest.mark.parametrize(
    "text",
    [
        "rate(addonkit_inbound_request_total[5m])",
        'addonkit_jobs_dead{plugn="x"}',
        "sum by (pluggin) (addonkit_jobs_dead)",
        "addonkit_jobs_deads > 0",
        "addonkit_inbound_request_duration_seconds > 1",
        'addonkit_jobs_dead and on (instnce) up{job=~"addonkit.*"}',
        "process_open_fd / process_max_fds",
    ],
    ids=["counter", "matcher", "grouping", "gauge", "histogram", "matching", "process"],
)
async def test_expression_with_a_misspelt_name_is_found(exposed: dict[str, set[str]], text: str) -> None:
    assert unknown(parsed(text), exposed) != []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 + 2",
        "sum(addonkit_jobs_dead",
        "addonkit_jobs_dead)",
        'addonkit_jobs_dead{plugin "x"}',
        'addonkit_jobs_dead{plugin="x}',
        "sum by plugin (addonkit_jobs_dead)",
        "sum by (1) (addonkit_jobs_dead)",
        "rates(addonkit_jobs_dead[5m])",
        "addonkit_jobs_dead # of a plugin",
    ],
    ids=["empty", "series", "open", "closed", "operator", "string", "by", "number", "function", "comment"],
)
async def test_expression_that_is_not_promql_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parsed(text)


@BY_PLACE
async def test_values_in_matchers_are_documented(text: str) -> None:
    for selector in parsed(text).selectors:
        for label, _, pattern in selector.matchers:
            if selector.name != "ALERTS" and (label, pattern) != ("job", "addonkit.*") and pattern != ".*":
                values = [value for value in pattern.split("|") if value]
                assert [v for v in values if not re.search(rf'[`"]{re.escape(v)}[`"]', REFERENCE)] == []


async def test_dashboard_shows_every_metric(exposed: dict[str, set[str]]) -> None:
    shown = {one.name for _, query, _ in queries() for one in parsed(filled(query)).selectors}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed}
    assert families - {re.sub(r"_bucket$", "", name) for name in shown} == NOT_SHOWN


async def test_dashboard_is_the_one_that_its_program_writes() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import dashboard; print(dashboard.text(), end='')"
    )
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    made = (await run.communicate())[0].decode()
    assert (DEPLOY / "grafana" / "addonkit.json").read_text() == made, "run 'python tools/dashboard.py'"


async def test_dashboard_has_a_fixed_uid_and_unique_panels() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert (DASHBOARD["uid"], len(set(ids))) == ("addonkit", len(ids))
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


async def test_dashboard_queries_the_data_source_that_is_chosen() -> None:
    sources = {json.dumps(target["datasource"]) for panel in PANELS for target in [panel, *panel["targets"]]}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "addon", "instance", "plugin"]


async def test_dashboard_variables_have_values_without_the_addon_label(exposed: dict[str, set[str]]) -> None:
    for variable in DASHBOARD["templating"]["list"][1:]:
        assert (variable["includeAll"], variable["allValue"]) == (True, ".*")
        [(series, label)] = re.findall(r"^label_values\((.*), (\w+)\)$", variable["definition"])
        assert label in {*exposed[parsed(filled(series)).selectors[0].name], *LABELS_OF_TARGETS}


async def test_dashboard_legends_name_labels_that_remain() -> None:
    for title, query, legend in queries():
        for label in re.findall(r"{{(\w+)}}", legend):
            assert f"{label}," in query or f"{label})" in query or "by (" not in query, f"{title}: {label}"


async def test_dashboard_values_have_units() -> None:
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS}
    assert units == {"short", "reqps", "ops", "s", "percentunit", "bytes"}
    for panel in PANELS:
        seconds = "histogram_quantile" in panel["targets"][0]["expr"]
        assert not seconds or panel["fieldConfig"]["defaults"]["unit"] == "s", panel["title"]


@pytest.mark.parametrize("name", RULES)
async def test_alert_has_a_severity_texts_and_a_section_that_says_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+[mhd]", rule["for"])
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"
    [section] = re.findall(rf"^### {name}\n\n(.*?)(?=\n###? |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(section.split()) > 15


async def test_alerts_of_the_guide_exist() -> None:
    assert re.findall(r"^### (\w+)$", GUIDE, re.MULTILINE) == list(RULES)


@pytest.mark.parametrize(
    "words", re.findall(r"`addonkit ([a-z][^`]*)`", GUIDE), ids=lambda words: words.replace(" ", "_")
)
async def test_commands_of_the_guide_exist(words: str) -> None:
    command = parsed_command([word.replace("NUMBER", "1") for word in words.split()])
    assert command.startswith("addonkit ")


async def test_alerts_all_have_cases() -> None:
    assert list(CASES) == list(RULES)


@pytest.mark.parametrize("name", CASES)
async def test_alert_cases_have_series_that_exist(exposed: dict[str, set[str]], name: str) -> None:
    case = CASES[name]
    assert [found for text in (*case.fires, *case.quiet) if (found := unknown(parsed(text), exposed))] == []


@needs_promtool
@pytest.mark.parametrize("name", CASES)
async def test_alert_fires_for_its_series_alone(tmp_path: Any, name: str) -> None:
    case = CASES[name]
    check_firing(ALERTS, tmp_path, name, case.fires, case.minutes, case.count)
    check_firing(ALERTS, tmp_path, name, case.quiet, case.minutes, 0)


@needs_promtool
@pytest.mark.parametrize("name", CASES)
async def test_alert_texts_name_what_the_alert_is_about(tmp_path: Any, name: str) -> None:
    case = CASES[name]
    texts = texts_of_firing(ALERTS, tmp_path, name, case.fires, case.minutes)
    [summary] = set(re.findall(r'summary="([^"]+)"', texts))
    assert "runbook" in texts
    assert not re.search(r"<no value>|error expanding|  |of  |''", summary), summary


@needs_promtool
async def test_alert_of_an_add_on_that_is_not_scraped_fires(tmp_path: Any) -> None:
    check_firing(ALERTS, tmp_path, "AddonkitDown", {"another": "1x60"}, 5, 1)


@needs_promtool
async def test_rules_and_configuration_are_valid_for_promtool() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yaml")


PENDING = {"AddonkitJobsDead", "AddonkitJobsFailing", "AddonkitCertificateExpires"}
"""Alerts whose condition holds at once in the add-on of these tests."""


@needs_prometheus
@pytest.mark.parametrize("addon_label", [True, False], ids=["label", "no-label"])
async def test_prometheus_evaluates_all_rules_and_queries(tmp_path: Any, addon_label: bool) -> None:
    async with monitored_addon(tmp_path, addon_label=addon_label) as url:
        targets = {"addonkit": urlsplit(url).netloc, "addonkit-work": urlsplit(url).netloc}
        async with prometheus(ALERTS, tmp_path, targets) as client:
            found = await until(lambda: alerts(client, PENDING))
            rules = [rule for group in (await answer(client, "rules"))["groups"] for rule in group["rules"]]
            assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in rules} == dict.fromkeys(
                RULES, ("ok", None)
            )
            dead = found["AddonkitJobsDead"]
            assert dead["labels"].get("addon") == (KEY if addon_label else None)
            assert (
                dead["annotations"]["summary"]
                == "Jobs of monitored that failed for good: 1" + f" ({KEY})" * addon_label
            )
            await until(lambda: all_answer(client))


async def all_answer(client: Any) -> bool:
    """Whether all queries of the dashboard have values, except those about what is wrong; rates need two scrapes."""
    asked = [filled(query) for _, query, _ in queries() if " > 0" not in query]
    return all([(await answer(client, "query", query=query))["result"] for query in asked])


async def alerts(client: Any, names: set[str]) -> dict[str, Any] | None:
    """The alerts whose condition holds, by name, once these are among them."""
    found = {one["labels"]["alertname"]: one for one in (await answer(client, "alerts"))["alerts"]}
    return found if found.keys() >= names else None
