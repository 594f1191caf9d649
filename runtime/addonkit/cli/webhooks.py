"""``addonkit webhooks``: list, show, replay, record and recover webhooks, which are stored as jobs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli import job_output
from addonkit.cli.database import opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.job_options import (
    EVENT_OPTION,
    JOB_ID,
    PastTime,
    filter_options,
    has_filter,
    job_filter,
    webhook_events,
)
from addonkit.cli.jobs import change_jobs, print_result
from addonkit.cli.output import count_of, print_json, print_rows, progress_printer
from addonkit.errors import AddonkitError
from addonkit.work import JobKind, JobSpec

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.jobs.query import JobRecord

COLUMNS = ("id", "tenant", "plugin", "name", "event", *job_output.COLUMNS[job_output.COLUMNS.index("state") :])


@click.group(params=[config_option(expose=False)], short_help="Inspect, record, replay and recover webhooks.")
def webhooks() -> None:
    """Inspect, record, replay and recover webhooks.

    A webhook is stored before it is acknowledged, and handled as a job. Handled webhooks are kept for [jobs]
    keep_done_hours.
    """


@with_config
@webhooks.command("list", short_help="List stored webhooks, newest first.")
@filter_options(noun="webhooks", kind=False)
@EVENT_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of rows.")
def list_(config: Path | None, as_json: bool, limit: int, **options: Any) -> None:
    """List stored webhooks, newest first."""

    async def read() -> list[dict[str, Any]]:
        from addonkit.jobs.query import list_jobs

        async with opened(config) as deployment:
            events = webhook_events(deployment)
            which = await job_filter({**options, "kind": JobKind.WEBHOOK}, deployment)
            return [_row(job, events) for job in await list_jobs(which, limit)]

    job_output.print_jobs(asyncio.run(read()), COLUMNS, as_json, "no webhooks")


def _row(job: JobRecord, events: dict[tuple[str, str], str]) -> dict[str, Any]:
    return {
        **job_output.job_row(job),
        "event": events.get((job.plugin, job.name)),
        "objects": job.facts.get("objects", {}),
        "identifier": job.facts.get("identifier"),
        "retry": job.facts.get("retry", 0),
        "flow": job.facts.get("flow", ""),
    }


@with_config
@webhooks.command("show", short_help="Show one webhook with its body and error.")
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--full", is_flag=True, help="Print the body without truncating it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with this webhook.")
def show_(config: Path | None, job_id: int, full: bool, as_json: bool) -> None:
    """Show one webhook: its state, its body, the values from its URL, and its whole error."""

    async def read() -> dict[str, Any]:
        from addonkit.jobs.query import get_job

        async with opened(config) as deployment:
            job, body = await get_job(job_id)
            _require_webhook(job)
            event = webhook_events(deployment).get((job.plugin, job.name))
            return {**job_output.job_details(job, body, full=full), "event": event}

    details = asyncio.run(read())
    if as_json:
        print_json([details])
    else:
        job_output.print_details(details)


@with_config
@webhooks.command(short_help="Run stored or recorded webhooks again.")
@click.argument("ids", metavar="[ID]...", type=JOB_ID, nargs=-1)
@filter_options(noun="webhooks", kind=False)
@EVENT_OPTION
@click.option("--file", type=click.Path(path_type=Path), help="Replay the webhooks in FILE, written by 'record'.")
@click.option("--dry-run", is_flag=True, help="Change nothing; count the webhooks that would be replayed.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(
    config: Path | None,
    ids: tuple[int, ...],
    file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run webhooks again, including those that are done: stored ones, or recorded ones from a file.

    Select stored webhooks by ID or by filter options (filters ask for confirmation). With --file, each recorded webhook
    is enqueued as a new job of the site that --tenant names, even if another site sent it.
    """
    if file is not None:
        if ids or not options["tenant"] or has_filter({**options, "tenant": None}):
            raise click.UsageError("--file needs --tenant, and no ID or other filter option")
        number = asyncio.run(_replay_file(config, file, options["tenant"], dry_run))
        if as_json:
            print_json({"replayed": 0 if dry_run else number, "dry_run": dry_run, "matched": number})
        else:
            click.echo(f"{count_of(number, 'recorded webhook')} {'would be ' if dry_run else ''}enqueued")
        return
    from addonkit.jobs import admin

    if not ids and not has_filter(options):
        raise click.UsageError("select webhooks by ID, by filter options or with --file")
    if ids:
        asyncio.run(_require_webhooks(config, ids))
    else:
        options["kind"] = str(JobKind.WEBHOOK)
    change = change_jobs(
        config,
        ids,
        options,
        admin.REPLAYABLE,
        admin.replay,
        "replayed",
        dry_run,
        yes,
        on_without_payload=_print_skipped,
    )
    result = asyncio.run(change)
    print_result(*result, "replayed", dry_run, as_json)


async def _replay_file(config: Path | None, file: Path, tenant: str, dry_run: bool) -> int:
    from addonkit.cli.webhook_files import read_jobs
    from addonkit.jobs.queue import JobQueue
    from addonkit.tenancy.names import find_tenant

    async with opened(config) as deployment:
        site = await find_tenant(tenant)
        specs = _webhook_specs(deployment)
        # All lines are checked before the first is enqueued.
        total = sum(1 for _ in read_jobs(file, specs, site.id))
        if dry_run:
            return total
        print_progress = progress_printer()
        for number, job in enumerate(read_jobs(file, specs, site.id), start=1):
            await JobQueue().put(job)
            print_progress(f"{number} of {total} webhooks replayed")
        return total


@with_config
@webhooks.command(short_help="Fetch webhooks that Jira could not deliver.")
@click.option("--tenant", metavar="TENANT", help="Ask only this site: number, key, URL or host name.")
@click.option(
    "--since",
    type=PastTime(),
    metavar="TIME",
    help="Only webhooks that failed since TIME: an age (90s, 15m, 6h, 2d) or an ISO 8601 date.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; count the webhooks that would be recovered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array with an object per site.")
def recover(config: Path | None, tenant: str | None, since: float | None, dry_run: bool, as_json: bool) -> None:
    """Ask Jira sites for webhooks that they could not deliver, and enqueue those that are missing.

    Jira keeps failed webhooks for 72 hours. The exit code is 1 if a site could not be asked.
    """
    from addonkit.cli.webhook_recovery import recover_sites

    rows = asyncio.run(recover_sites(config, tenant, since, dry_run))
    print_rows(rows, ["site", "found", "new", "unknown", "error"], as_json)
    if not as_json:
        total = count_of(sum(row["new"] for row in rows), "webhook")
        click.echo(f"{total} {'would be ' if dry_run else ''}enqueued", err=True)
    sys.exit(1 if any(row["error"] for row in rows) else 0)


@with_config
@webhooks.command(short_help="Copy webhooks to a file as they arrive.")
@click.argument("file", type=click.Path(path_type=Path))
@filter_options(noun="webhooks", kind=False, state=False)
@EVENT_OPTION
@click.option("--existing", is_flag=True, help="Copy the webhooks that are stored now, and exit.")
def record(config: Path | None, file: Path, existing: bool, **options: Any) -> None:
    """Copy webhooks to FILE as they arrive, until Ctrl+C: one JSON object per line, for 'replay --file'.

    FILE must not exist; only you can read it. It contains what the host sent, and no token or secret.
    """
    recorded = [0]
    try:
        job_output.run_until_interrupted(_record(config, file, existing, options, recorded))
    finally:
        click.echo(f"{count_of(recorded[0], 'webhook')} recorded", err=True)


async def _record(
    config: Path | None, file: Path, existing: bool, options: dict[str, Any], recorded: list[int]
) -> None:
    from dataclasses import replace

    from addonkit.cli.webhook_files import create, record_line
    from addonkit.jobs.query import get_job, newest_id
    from addonkit.jobs.tail import NewJobs

    async with opened(config) as deployment:
        which = await job_filter({**options, "kind": JobKind.WEBHOOK}, deployment)
        events, last_id = webhook_events(deployment), await newest_id()
        new_jobs = NewJobs(replace(which, up_to=last_id) if existing else which, 0 if existing else last_id)
        without_payload = 0
        with create(file) as out:
            while True:
                found = await new_jobs.fetch()
                for job in found:
                    try:
                        record, body = await get_job(job.id)
                    except AddonkitError:  # the job was deleted since it was listed
                        continue
                    if body is None:
                        without_payload += 1
                        continue
                    out.write(record_line(record, body, events))
                    out.flush()
                    recorded[0] += 1
                if existing and not found:
                    _print_skipped(without_payload)
                    return
                if not existing:
                    await job_output.poll_pause()


def _require_webhook(job: JobRecord) -> None:
    if job.kind != JobKind.WEBHOOK:
        raise AddonkitError(f"job {job.id} is not a webhook but a {job.kind}; see 'addonkit jobs show {job.id}'")


async def _require_webhooks(config: Path | None, ids: tuple[int, ...]) -> None:
    """Refuse ids of jobs that are not webhooks, or whose payload was dropped."""
    from addonkit.jobs.job_filter import JobFilter
    from addonkit.jobs.query import list_jobs, payload_missing

    async with opened(config):
        for job in await list_jobs(JobFilter(ids=ids), len(ids)):
            _require_webhook(job)
            if not job.has_payload:
                raise payload_missing(job.id)


def _print_skipped(number: int) -> None:
    """Say how many webhooks have no payload any more."""
    if number:
        reason = "set [jobs] keep_payloads_hours to keep those of webhooks that finish from then on"
        click.echo(
            f"{count_of(number, 'webhook')} skipped, whose payload was dropped when it was done; {reason}", err=True
        )


def _webhook_specs(deployment: Deployment) -> dict[tuple[str, str], JobSpec]:
    """Webhook handlers of the enabled plugins, by plugin and name."""
    return {
        (spec.plugin, spec.name): spec
        for one in deployment.registry.contributions.values()
        for spec in one.jobs.values()
        if spec.kind is JobKind.WEBHOOK
    }
