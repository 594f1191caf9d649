"""For each alert rule: series with which it fires, and similar ones with which it does not, in promtool's notation.

``10x30`` stays at 10 for thirty minutes, ``0+6x30`` grows by 6 every minute. Two processes of an add-on are scraped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ONE = 'job="addonkit", instance="a:9100"'
TWO = 'job="addonkit", instance="b:9100"'
KIT = 'plugin="kit"'
PAGE = f'{KIT}, route="kit.page"'
INSTALLED = 'kind="lifecycle", event="installed"'
HOOK = 'kind="webhook", event="jira:issue_updated"'
CALLS, ATTEMPTS = "addonkit_rest_requests_total", "addonkit_job_attempts_total"
REFUSED, LOOKUPS = "addonkit_webhooks_refused_total", "addonkit_directory_lookups_total"
RECEIVED, RETRIES = "addonkit_inbound_host_requests_total", "addonkit_job_retries_total"


@dataclass(frozen=True, slots=True)
class Case:
    """Series of one alert.

    Attributes:
        fires: With these, the alert fires.
        quiet: With these, it does not.
        minutes: After how many minutes.
        count: How many alerts fire.
    """

    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    minutes: int = 30
    count: int = 1


def counters(name: str, label: str, labels: str = "", **values: str) -> dict[str, str]:
    """A counter, by the values of one of its labels; an underscore before a value lets it begin with a digit."""
    more = f", {labels}" if labels else ""
    return {f'{name}{{{ONE}{more}, {label}="{one.lstrip("_")}"}}': text for one, text in values.items()}


def requests(failed: str, successful: str) -> dict[str, str]:
    """Counters of two statuses of one route."""
    return counters("addonkit_inbound_requests_total", "status", PAGE, _5xx=failed, _2xx=successful)


def histogram(name: str, labels: str, limit: str, below: str, above: str) -> dict[str, str]:
    """A histogram with one bucket, and the counter of its observations."""
    labels = f"{ONE}, {labels}"
    return {
        f'{name}_bucket{{{labels}, le="{limit}"}}': below,
        f'{name}_bucket{{{labels}, le="25"}}': above,
        f'{name}_bucket{{{labels}, le="+Inf"}}': above,
        f"{name}_count{{{labels}}}": above,
    }


def lag(worker: str, values: str) -> dict[str, str]:
    """Measurements of the event loop of one worker process that is alive."""
    labels = f'{ONE}, worker="{worker}"'
    alive = {f"addonkit_job_slots_free{{{labels}}}": "4x60"}
    return {f"addonkit_event_loop_lag_seconds_count{{{labels}}}": values, **alive}


def of_both(name: str, first: str, second: str, labels: str = "") -> dict[str, str]:
    """A series of two processes."""
    more = f", {labels}" if labels else ""
    return {f"{name}{{{ONE}{more}}}": first, f"{name}{{{TWO}{more}}}": second}


CASES: dict[str, Case] = {
    "AddonkitDown": Case(of_both("up", "0x60", "0x60"), of_both("up", "0x60", "1x60"), 5),
    "AddonkitProcessDown": Case(of_both("up", "0x60", "1x60"), of_both("up", "1x60", "1x60"), 10),
    # While a worker is replaced, the start of either process is shown.
    "AddonkitRestarts": Case(
        {f'process_start_time_seconds{{{ONE}, worker="1"}}': "1 1 2 2 3 3 4 4 5 5 6 6"},
        {f'process_start_time_seconds{{{ONE}, worker="{number}"}}': "1 1 2 1 2 2 2 2 2 2 2 2" for number in (1, 2, 3)},
        11,
    ),
    "AddonkitWorkerHung": Case(lag("1", "0+60x20 1200x40") | lag("2", "0+60x60"), lag("1", "0+60x60"), 40),
    "AddonkitEventLoopSlow": Case(
        histogram("addonkit_event_loop_lag_seconds", 'worker="1"', "0.1", "0+30x60", "0+60x60"),
        histogram("addonkit_event_loop_lag_seconds", 'worker="1"', "0.1", "0+60x60", "0+60x60"),
    ),
    "AddonkitFilesExhausted": Case(
        of_both("process_open_fds", "90x30", "10x30", 'worker="1"')
        | of_both("process_max_fds", "100x30", "100x30", 'worker="1"'),
        of_both("process_open_fds", "70x30", "10x30", 'worker="1"')
        | of_both("process_max_fds", "100x30", "100x30", 'worker="1"'),
    ),
    "AddonkitCertificateExpires": Case(
        {f"addonkit_tls_certificate_expiry_timestamp_seconds{{{ONE}}}": f"{13 * 86400}x90"},
        {f"addonkit_tls_certificate_expiry_timestamp_seconds{{{ONE}}}": f"{15 * 86400}x90"},
        80,
    ),
    "AddonkitVersionsDiffer": Case(
        counters("addonkit_build_info", "version", **{"0.1.0": "1x90", "0.2.0": "1x90"}),
        of_both("addonkit_build_info", "1x90", "1x90", 'version="0.2.0"'),
        80,
    ),
    "AddonkitErrors": Case(requests("0+2x60", "0+98x60"), requests("0+2x60", "0+998x60")),
    "AddonkitPagesSlow": Case(
        histogram("addonkit_inbound_request_duration_seconds", PAGE, "1", "0+90x60", "0+100x60"),
        histogram("addonkit_inbound_request_duration_seconds", PAGE, "1", "0+99x60", "0+100x60"),
    ),
    "AddonkitLifecycleUnavailable": Case(
        counters(RECEIVED, "outcome", INSTALLED, unavailable="0x20 1x20", accepted="0+1x40"),
        counters(RECEIVED, "outcome", INSTALLED, refused="0x20 1x20")
        | counters(RECEIVED, "outcome", HOOK, unavailable="0x20 1x20"),
        25,
    ),
    "AddonkitWebhooksLost": Case(
        counters(REFUSED, "product", confluence="0x20 1x20"), counters(REFUSED, "product", jira="0x20 1x20"), 25
    ),
    "AddonkitWebhooksDelayed": Case(
        counters(REFUSED, "product", jira="0+1x60"), counters(REFUSED, "product", jira="0x20 1x60")
    ),
    "AddonkitHostRequestsSlow": Case(
        histogram("addonkit_inbound_host_request_duration_seconds", HOOK, "5", "0+90x60", "0+100x60"),
        histogram("addonkit_inbound_host_request_duration_seconds", HOOK, "5", "0+99x60", "0+100x60"),
    ),
    "AddonkitTokensRefused": Case(
        counters("addonkit_inbound_refusals_total", "reason", future="0+10x60") | requests("0x60", "0+100x60"),
        counters("addonkit_inbound_refusals_total", "reason", expired="0+10x60") | requests("0x60", "0+100x60"),
        40,
    ),
    "AddonkitJobsDead": Case(
        of_both("addonkit_jobs_dead", "2x30", "2x30", KIT),
        of_both("addonkit_jobs_dead", "0x30", "0x30", KIT),
    ),
    "AddonkitJobsFailing": Case(
        of_both("addonkit_jobs_failing", "3x60", "3x60", KIT),
        of_both("addonkit_jobs_failing", "3x20 0x40", "3x20 0x40", KIT),
        40,
    ),
    "AddonkitJobAttemptsFail": Case(
        counters(ATTEMPTS, "outcome", KIT, failed="0+2x60", done="0+8x60"),
        counters(ATTEMPTS, "outcome", KIT, held="0+2x60", done="0+8x60"),
        40,
    ),
    "AddonkitJobProcessDied": Case(
        counters(RETRIES, "reason", KIT, process_died="0x20 1x20"),
        counters(RETRIES, "reason", KIT, stopped="0x20 1x20"),
        25,
    ),
    "AddonkitJobsLate": Case(
        of_both("addonkit_jobs_oldest_due_seconds", "0+60x60", "0+60x60"),
        of_both("addonkit_jobs_oldest_due_seconds", "200x60", "200x60"),
    ),
    "AddonkitJobSlotsFull": Case(
        of_both("addonkit_job_slots_free", "0x60", "0x60") | of_both("addonkit_jobs_ready", "9x60", "9x60", KIT),
        of_both("addonkit_job_slots_free", "0x60", "1x60") | of_both("addonkit_jobs_ready", "9x60", "9x60", KIT),
    ),
    "AddonkitJobsHeld": Case(
        of_both("addonkit_jobs_held", "5x1600", "5x1600", KIT),
        of_both("addonkit_jobs_held", "5x600 0x1000", "5x600 0x1000", KIT),
        1500,
    ),
    "AddonkitSchedulesLate": Case(
        of_both("addonkit_schedule_lag_seconds", "0+60x60", "0+60x60", 'plugin="kit", schedule="tidy"'),
        of_both("addonkit_schedule_lag_seconds", "100x60", "100x60", 'plugin="kit", schedule="tidy"'),
    ),
    "AddonkitQueueValuesOld": Case(
        of_both("addonkit_queue_values_age_seconds", "0+60x60", "1x60"),
        of_both("addonkit_queue_values_age_seconds", "5x60", "1x60"),
    ),
    "AddonkitQueueValuesMissing": Case(
        of_both("addonkit_build_info", "1x60", "1x60") | {f"addonkit_queue_values_age_seconds{{{TWO}}}": "1x60"},
        of_both("addonkit_build_info", "1x60", "1x60") | of_both("addonkit_queue_values_age_seconds", "1x60", "1x60"),
    ),
    "AddonkitIntakeFull": Case(
        of_both("addonkit_webhook_intake_bytes", "60x30", "0x30", 'worker="1"')
        | of_both("addonkit_webhook_intake_bytes_max", "100x30", "100x30", 'worker="1"'),
        of_both("addonkit_webhook_intake_rows", "40x30", "0x30", 'worker="1"')
        | of_both("addonkit_webhook_intake_rows_max", "100x30", "100x30", 'worker="1"'),
    ),
    "AddonkitDatabaseConnectionsExhausted": Case(
        of_both("addonkit_database_connections_waiting", "3x30", "0x30", 'worker="1"'),
        of_both("addonkit_database_connections_waiting", "0x30", "0x30", 'worker="1"'),
    ),
    "AddonkitTenantCacheSmall": Case(
        counters(LOOKUPS, "result", miss="0+120x120", hit="0+600x120"),
        counters(LOOKUPS, "result", miss="0+30x120", hit="0+60x120"),
        110,
    ),
    "AddonkitHostCallsFail": Case(
        counters(CALLS, "outcome", KIT, unavailable="0+2x60", _2xx="0+8x60"),
        counters(CALLS, "outcome", KIT, _4xx="0+2x60", _2xx="0+8x60"),
    ),
    "AddonkitHostCallsSlow": Case(
        histogram("addonkit_rest_request_duration_seconds", KIT, "5", "0+90x60", "0+100x60"),
        histogram("addonkit_rest_request_duration_seconds", KIT, "5", "0+99x60", "0+100x60"),
        40,
    ),
}
