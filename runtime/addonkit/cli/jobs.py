"""``addonkit jobs``: list, show, retry, delete and follow background jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from addonkit.cli import job_output
from addonkit.cli.database import agree, opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.job_options import JOB_ID, filter_options, has_filter, job_filter
from addonkit.cli.job_output import COLUMNS, COUNT_COLUMNS, count_rows, job_row
from addonkit.cli.output import count_of, iso_time, print_json, print_rows, progress_printer
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.jobs.admin import OnProgress
    from addonkit.jobs.job_filter import JobFilter
    from addonkit.jobs.query import JobCount, JobRecord
    from addonkit.work import JobState


@click.group(params=[config_option(expose=False)], short_help="Inspect, retry and delete background jobs.")
def jobs() -> None:
    """Inspect, retry and delete background jobs.

    A job is waiting (not due yet), ready, blocked by an earlier job of its order key, held while its plugin or site is
    off, running, done, or dead: it failed for good and is kept until you retry or delete it.
    """


@with_config
@jobs.command("list", short_help="List jobs, newest first.")
@filter_options()
@click.option("--count", "counted", is_flag=True, help="Count jobs by plugin, name and state instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of rows.")
def list_(config: Path | None, counted: bool, as_json: bool, limit: int, **options: Any) -> None:
    """List jobs, newest first.

    A note on standard error says how many jobs wait for plugins that are not enabled.
    """
    rows = asyncio.run(_list(config, options, counted, limit))
    if counted and rows:
        print_rows(rows, COUNT_COLUMNS, as_json)
    else:
        job_output.print_jobs(rows, COLUMNS, as_json, "no jobs")


async def _list(config: Path | None, options: dict[str, Any], counted: bool, limit: int) -> list[dict[str, Any]]:
    from addonkit.jobs.query import count_jobs, count_unfinished, list_jobs

    async with opened(config) as deployment:
        which = await job_filter(options, deployment)
        if counted:
            rows = count_rows((await count_jobs(which))[:limit])
        else:
            rows = [job_row(job) for job in await list_jobs(which, limit)]
        for plugin, number in (await count_unfinished(_enabled(deployment))).items():
            if options["plugin"] in (None, plugin):
                subject = "1 job waits" if number == 1 else f"{number} jobs wait"
                click.echo(one_line(f"{subject} for plugin '{plugin}', which is not enabled"), err=True)
    return rows


def _enabled(deployment: Deployment) -> Collection[str]:
    """Return the names of the plugins that run jobs; none is loaded, unless some may be skipped at the start."""
    addon = deployment.settings.addon
    return addon.plugins if addon.on_plugin_error == "stop" else deployment.registry.contributions


@with_config
@jobs.command("show", short_help="Show one job with its payload and error.")
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--full", is_flag=True, help="Print the payload without truncating it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with this job.")
def show_(config: Path | None, job_id: int, full: bool, as_json: bool) -> None:
    """Show one job with its state, payload and whole error."""

    async def read() -> dict[str, Any]:
        from addonkit.jobs.query import get_job

        async with opened(config):
            return job_output.job_details(*await get_job(job_id), full=full)

    details = asyncio.run(read())
    if as_json:
        print_json([details])
    else:
        job_output.print_details(details)


@with_config
@jobs.command(short_help="Make dead, held and waiting jobs ready again.")
@click.argument("ids", metavar="[ID]...", type=JOB_ID, nargs=-1)
@filter_options()
@click.option("--dry-run", is_flag=True, help="Change nothing; count the jobs that would be retried.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retry(config: Path | None, ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Make dead, held and waiting jobs ready again, with their failures reset.

    Select jobs by ID or by filter options (filters ask for confirmation). Jobs with an order key wait for earlier ones.
    """
    from addonkit.jobs import admin

    result = asyncio.run(change_jobs(config, ids, options, admin.RETRYABLE, admin.retry, "retried", dry_run, yes))
    print_result(*result, "retried", dry_run, as_json)


@with_config
@jobs.command(short_help="Delete jobs.")
@click.argument("ids", metavar="[ID]...", type=JOB_ID, nargs=-1)
@filter_options()
@click.option("--dry-run", is_flag=True, help="Change nothing; count the jobs that would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def drop(config: Path | None, ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Delete jobs permanently. Running jobs are never deleted.

    Select jobs by ID or by filter options (filters ask for confirmation). The next job of the order key becomes ready.
    If the host delivers a deleted webhook again, it is treated as a new one.
    """
    from addonkit.jobs import admin

    result = asyncio.run(change_jobs(config, ids, options, admin.DELETABLE, admin.drop, "deleted", dry_run, yes))
    print_result(*result, "deleted", dry_run, as_json)


@with_config
@jobs.command(short_help="Print jobs as their state changes.")
@filter_options(state=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def tail(config: Path | None, as_json: bool, **options: Any) -> None:
    """Print jobs as they are enqueued, start, fail and finish, until Ctrl+C.

    The queue is polled once a second. If a job changes several times between two polls, its last state is printed.
    """
    job_output.run_until_interrupted(_tail(config, options, as_json))


async def _tail(config: Path | None, options: dict[str, Any], as_json: bool) -> None:
    from addonkit.jobs.tail import JobTail

    async with opened(config) as deployment:
        job_tail = JobTail(await job_filter(options, deployment))
        while True:
            for job in await job_tail.changes():
                at = iso_time(time.time())
                line = orjson.dumps({"at": at, **job_row(job)}).decode() if as_json else f"{at} {_tail_line(job)}"
                click.echo(line)
            await job_output.poll_pause()


def _tail_line(job: JobRecord) -> str:
    row = job_row(job)
    parts = [f"{job.id} {job_output.tenant_label(row)} {job.plugin}.{job.name} {job.state}"]
    if job.state == "running":
        parts.append(f"attempt {job.failures + 1}")
    if job.state == "waiting":
        parts.append(f"due {row['due_at']}")
    if job.error and job.state != "done":
        parts.append(job_output.first_line(job.error))
    return one_line(": ".join(parts))


async def change_jobs(
    config: Path | None,
    ids: tuple[int, ...],
    options: dict[str, Any],
    states: tuple[JobState, ...],
    change: Callable[[JobFilter, OnProgress], Awaitable[int]],
    verb: str,
    dry_run: bool,
    yes: bool,
    on_without_payload: Callable[[int], None] | None = None,
) -> tuple[int, list[JobCount]]:
    """Change jobs that are selected by id or by filter options.

    Args:
        config: The configuration file.
        ids: Ids on the command line.
        options: Values of the filter options.
        states: States in which a job can be changed.
        change: Changes the jobs that a filter selects and returns their number.
        verb: The change as a past participle, for messages.
        dry_run: Whether to count only.
        yes: Whether to skip the confirmation.
        on_without_payload: If given, jobs whose payload was dropped are skipped, and this receives their number.

    Returns:
        The number of jobs, and the counts by plugin, name and state before the change.

    Raises:
        AddonkitError: A job does not exist or is in another state, or the change was not confirmed.
    """
    from addonkit.jobs.admin import require_states
    from addonkit.jobs.query import count_jobs, newest_id

    if bool(ids) == has_filter(options):
        raise click.UsageError("select jobs either by ID or by filter options")
    async with opened(config) as deployment:
        which = await job_filter(options, deployment, ids)
        if ids:
            await require_states(ids, states, verb)
        # Jobs that are enqueued after the confirmation must not be changed.
        allowed = tuple(state for state in states if state in which.states or not which.states)
        which = replace(which, states=allowed, up_to=await newest_id())
        if on_without_payload is not None and allowed:
            on_without_payload(sum(one.jobs for one in await count_jobs(replace(which, has_payload=False))))
            which = replace(which, has_payload=True)
        counts = await count_jobs(which) if allowed else []
        total = sum(one.jobs for one in counts)
        if dry_run or not total:
            return total, counts
        if not ids:
            agree(f"{_number_of_jobs(total)} ({_count_list(counts)}) will be {verb}", yes)
        print_progress = progress_printer()
        return await change(which, lambda done: print_progress(f"{done} of {_number_of_jobs(total)} {verb}")), counts


def print_result(number: int, counts: list[JobCount], verb: str, dry_run: bool, as_json: bool) -> None:
    """Print how many jobs were changed, or would be."""
    if as_json:
        print_json({verb: 0 if dry_run else number, "dry_run": dry_run, "matched": count_rows(counts)})
        return
    click.echo(f"{_number_of_jobs(number)} {'would be ' if dry_run else ''}{verb}")
    if dry_run and counts:
        print_rows(count_rows(counts), COUNT_COLUMNS, False)


def _number_of_jobs(jobs: int) -> str:
    return count_of(jobs, "job") if jobs else "no jobs"


def _count_list(counts: list[JobCount]) -> str:
    """Describe counts in a sentence."""
    first = ", ".join(f"{one.jobs} {one.state} of '{one.plugin}.{one.name}'" for one in counts[:5])
    return one_line(f"{first} and others" if len(counts) > 5 else first)
