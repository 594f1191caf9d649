"""The rows of the Grafana dashboard, with their panels."""

from __future__ import annotations

from dashboard_panel import PLUGIN, PROCESS, Panel, errors, graph, largest, percentile, stat, total

JOB_STATES = ("waiting", "ready", "blocked", "held", "running")
PERCENTILES = (0.5, 0.95, 0.99)

ROWS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        stat(
            "Processes", "short", f"count by (addon) (addonkit_build_info{{{PROCESS}}})", "Processes that answer.", -0.5
        ),
        stat("Requests", "reqps", total("addon", "addonkit_inbound_requests_total", PROCESS), "Inbound requests."),
        stat("Errors", "percentunit", errors(), "Share of requests that are answered with a 5xx status.", 0.01),
        stat("Jobs done", "ops", total("addon", "addonkit_job_attempts_total", f'{PROCESS}, outcome="done"'), "Jobs."),
        stat(
            "Oldest due job",
            "s",
            largest("addon", "addonkit_jobs_oldest_due_seconds", PROCESS),
            "How long the oldest job that is due has waited.",
            300,
        ),
        stat(
            "Dead jobs",
            "short",
            f"sum by (addon) ({largest('addon, plugin', 'addonkit_jobs_dead', PROCESS)})",
            "Jobs that failed for good and wait for an operator.",
            1,
        ),
        stat(
            "Age of the queue's values",
            "s",
            largest("addon", "addonkit_queue_values_age_seconds", PROCESS),
            "If it grows, the database does not answer, and the numbers of jobs are old.",
            60,
        ),
        stat(
            "Certificate",
            "s",
            f"min by (addon) (addonkit_tls_certificate_expiry_timestamp_seconds{{{PROCESS}}} - time())",
            "Time until the certificate expires; only if the add-on itself serves HTTPS.",
            -14 * 86400,
        ),
    ),
    "Requests": (
        graph(
            "Requests by status",
            "reqps",
            (total("status", "addonkit_inbound_requests_total", PLUGIN), "{{status}}"),
            stacked=True,
        ),
        graph(
            "Errors by plugin and route",
            "reqps",
            (
                total("plugin, route", "addonkit_inbound_requests_total", f'{PLUGIN}, status="5xx"'),
                "{{plugin}} {{route}}",
            ),
        ),
        graph(
            "Refusals by reason",
            "reqps",
            (total("reason", "addonkit_inbound_refusals_total", PROCESS), "{{reason}}"),
            about="docs/operations.md explains the reasons.",
            stacked=True,
        ),
        graph(
            "Time to answer",
            "s",
            *(
                (
                    percentile(share, "addon", "addonkit_inbound_request_duration_seconds", PLUGIN),
                    f"{share:.0%} {{{{addon}}}}",
                )
                for share in PERCENTILES
            ),
        ),
        graph(
            "Time to answer by route, 95th percentile",
            "s",
            (percentile(0.95, "route", "addonkit_inbound_request_duration_seconds", PLUGIN), "{{route}}"),
        ),
        graph(
            "Tenant lookups",
            "ops",
            (total("result", "addonkit_directory_lookups_total", PROCESS), "{{result}}"),
            about="A miss reads the database.",
            stacked=True,
        ),
    ),
    "Lifecycle requests and webhooks": (
        graph(
            "By event and outcome",
            "reqps",
            (total("event, outcome", "addonkit_inbound_host_requests_total", PROCESS), "{{event}} {{outcome}}"),
        ),
        graph(
            "Time to answer, 95th percentile",
            "s",
            (percentile(0.95, "event", "addonkit_inbound_host_request_duration_seconds", PROCESS), "{{event}}"),
        ),
        graph(
            "Webhooks that were not stored",
            "reqps",
            (total("product", "addonkit_webhooks_refused_total", PROCESS), "{{product}}"),
            about="Those of Confluence are lost; Jira sends them again.",
        ),
        graph(
            "Intake: rows",
            "short",
            (f"sum by (instance) (addonkit_webhook_intake_rows{{{PROCESS}}})", "{{instance}}"),
            (f"sum by (instance) (addonkit_webhook_intake_rows_max{{{PROCESS}}})", "limit {{instance}}"),
            about="Webhooks that wait to be stored.",
        ),
        graph(
            "Intake: bytes",
            "bytes",
            (f"sum by (instance) (addonkit_webhook_intake_bytes{{{PROCESS}}})", "{{instance}}"),
            (f"sum by (instance) (addonkit_webhook_intake_bytes_max{{{PROCESS}}})", "limit {{instance}}"),
        ),
    ),
    "Jobs": (
        graph(
            "Unfinished jobs by state",
            "short",
            *((f"sum({largest('addon, plugin', f'addonkit_jobs_{state}', PLUGIN)})", state) for state in JOB_STATES),
            stacked=True,
        ),
        graph(
            "Unfinished jobs by plugin",
            "short",
            (largest("addon, plugin", "addonkit_jobs_pending", PLUGIN), "{{plugin}} {{addon}}"),
        ),
        graph(
            "Failing and dead jobs",
            "short",
            (largest("addon, plugin", "addonkit_jobs_failing", PLUGIN), "failing: {{plugin}} {{addon}}"),
            (largest("addon, plugin", "addonkit_jobs_dead", PLUGIN), "dead: {{plugin}} {{addon}}"),
        ),
        graph(
            "Attempts by outcome",
            "ops",
            (total("outcome", "addonkit_job_attempts_total", PLUGIN), "{{outcome}}"),
            stacked=True,
        ),
        graph(
            "Retries by reason",
            "ops",
            (total("plugin, reason", "addonkit_job_retries_total", PLUGIN), "{{plugin}} {{reason}}"),
        ),
        graph(
            "Oldest due job",
            "s",
            (largest("addon", "addonkit_jobs_oldest_due_seconds", PROCESS), "{{addon}}"),
        ),
        graph(
            "Duration of attempts, 95th percentile",
            "s",
            (
                percentile(0.95, "plugin, job_name", "addonkit_job_duration_seconds", PLUGIN),
                "{{plugin}} {{job_name}}",
            ),
        ),
        graph(
            "Wait from due time to start",
            "s",
            *(
                (percentile(share, "plugin", "addonkit_job_wait_seconds", PLUGIN), f"{share:.0%} {{{{plugin}}}}")
                for share in (0.5, 0.95)
            ),
        ),
        graph(
            "Schedules that are late",
            "s",
            (
                largest("addon, plugin, schedule", "addonkit_schedule_lag_seconds", PLUGIN) + " > 0",
                "{{plugin}} {{schedule}}",
            ),
        ),
    ),
    "Host calls": (
        graph(
            "Calls by outcome",
            "reqps",
            (total("outcome", "addonkit_rest_requests_total", PLUGIN), "{{outcome}}"),
            stacked=True,
        ),
        graph(
            "Duration, 95th percentile",
            "s",
            (percentile(0.95, "plugin", "addonkit_rest_request_duration_seconds", PLUGIN), "{{plugin}}"),
            about="With retries and the time spent waiting for the rate budget.",
        ),
        graph("Retries", "reqps", (total("plugin", "addonkit_rest_retries_total", PLUGIN), "{{plugin}}")),
    ),
    "Processes and database": (
        graph(
            "Database connections",
            "short",
            (f"sum by (instance) (addonkit_database_connections_in_use{{{PROCESS}}})", "in use {{instance}}"),
            (f"sum by (instance) (addonkit_database_connections_max{{{PROCESS}}})", "limit {{instance}}"),
            (f"sum by (instance) (addonkit_database_connections_waiting{{{PROCESS}}})", "waiting {{instance}}"),
        ),
        graph(
            "Free job slots",
            "short",
            (f"addonkit_job_slots_free{{{PROCESS}}}", "{{instance}} {{worker}}"),
        ),
        graph(
            "Event loop lag, 95th percentile",
            "s",
            (
                percentile(0.95, "instance, worker", "addonkit_event_loop_lag_seconds", PROCESS),
                "{{instance}} {{worker}}",
            ),
        ),
        graph(
            "Processor",
            "percentunit",
            (
                total("instance, worker", "process_cpu_seconds_total", f'{PROCESS}, job=~"addonkit.*"'),
                "{{instance}} {{worker}}",
            ),
            about="Share of one processor.",
        ),
        graph(
            "Memory",
            "bytes",
            (f'process_resident_memory_bytes{{{PROCESS}, job=~"addonkit.*"}}', "{{instance}} {{worker}}"),
        ),
        graph(
            "Open files and connections",
            "percentunit",
            (
                f'process_open_fds{{{PROCESS}, job=~"addonkit.*"}} / process_max_fds{{{PROCESS}, job=~"addonkit.*"}}',
                "{{instance}} {{worker}}",
            ),
        ),
        graph(
            "Tenants in memory",
            "short",
            (f"addonkit_directory_tenants{{{PROCESS}}}", "{{instance}} {{worker}}"),
        ),
        graph(
            "Time since the start",
            "s",
            (
                f'time() - process_start_time_seconds{{{PROCESS}, job=~"addonkit.*"}}',
                "{{instance}} {{worker}}",
            ),
        ),
        graph(
            "Releases",
            "short",
            (
                f"count by (version, python) (addonkit_build_info{{{PROCESS}}})",
                "addonkit {{version}}, Python {{python}}",
            ),
            (
                f"count by (plugin, version) (addonkit_plugin_info{{{PLUGIN}}})",
                "{{plugin}} {{version}}",
            ),
        ),
    ),
}
