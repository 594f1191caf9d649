"""``addonkit jobs``: what is done in the background, how it stands, and what an operator does about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from addonkit.cli import job_options as job_choices
from addonkit.cli.database import agree, opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.job_options import (
    COLUMNS,
    ID,
    brief,
    by_count,
    choosing,
    filter_of,
    is_chosen,
    tell_jobs,
)
from addonkit.cli.output import iso_time, print_json, print_rows, progress_printer
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.jobs.admin import Count, Entry, Progress
    from addonkit.jobs.query import Filter
    from addonkit.work import JobState


@click.group(params=[config_option(expose=False)], short_help="Inspect, retry and delete background jobs.")
def jobs() -> None:
    """What plugins do in the background.

    A job is waiting for its time, ready, blocked by an earlier one of its order, held while its plugin or site is off,
    running, done, or dead: failed for good and kept for you.
    """


@with_config
@jobs.command("list", short_help="List jobs, newest first.")
@choosing()
@click.option("--count", "counted", is_flag=True, help="How many there are by plugin, name and state, instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most this many rows.")
def list_(config: Path | None, counted: bool, as_json: bool, limit: int, **chosen: Any) -> None:
    """List jobs, the newest first; say where some wait for a plugin that is not enabled."""
    rows = asyncio.run(_listed(config, chosen, counted, limit))
    columns = ("plugin", "name", "state", "jobs") if counted else COLUMNS
    if counted and rows and not as_json:
        print_rows(rows, columns, False)
    else:
        tell_jobs(rows, columns, as_json, "no jobs")


async def _listed(config: Path | None, chosen: dict[str, Any], counted: bool, limit: int) -> list[dict[str, Any]]:
    from addonkit.jobs.admin import counts, listed, unfinished

    async with opened(config) as deployment:
        which = await filter_of(chosen, deployment)
        rows = (
            by_count((await counts(which))[:limit]) if counted else [brief(one) for one in await listed(which, limit)]
        )
        enabled = deployment.registry.contributions
        for plugin, number in sorted((await unfinished()).items()):
            if plugin not in enabled and chosen["plugin"] in (None, plugin):
                told = "1 job waits" if number == 1 else f"{number} jobs wait"
                click.echo(one_line(f"{told} for plugin '{plugin}', which is not enabled"), err=True)
    return rows


@with_config
@jobs.command("show", short_help="Show one job with its error and payload.")
@click.argument("number", metavar="ID", type=ID)
@click.option("--whole", is_flag=True, help="The payload without a bound.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, of this job.")
def show_(config: Path | None, number: int, whole: bool, as_json: bool) -> None:
    """Show one job: its error, what it was given, and how it stands."""

    async def looked_at() -> dict[str, Any]:
        from addonkit.jobs.admin import one

        async with opened(config):
            return job_choices.whole(*await one(number), bounded=not whole)

    said = asyncio.run(looked_at())
    if as_json:
        print_json([said])
    else:
        job_choices.tell_whole(said)


@with_config
@jobs.command(short_help="Run dead, held or waiting jobs again at once.")
@click.argument("ids", metavar="[ID]...", type=ID, nargs=-1)
@choosing()
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would be retried.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def retry(config: Path | None, ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Let jobs that are dead, held or waiting begin at once, as if they had never failed.

    Say which by ID, or by options; then you are asked first. One of an order begins when those before it are done.
    """
    from addonkit.jobs.admin import RETRIED
    from addonkit.jobs.admin import retry as change

    done = asyncio.run(changed(config, ids, chosen, RETRIED, change, "retried", dry_run, yes))
    tell(done, "retried", dry_run, as_json)


@with_config
@jobs.command(short_help="Delete jobs that are not running.")
@click.argument("ids", metavar="[ID]...", type=ID, nargs=-1)
@choosing()
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def drop(config: Path | None, ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Delete jobs for ever, but none that runs.

    Say which by ID, or by options; then you are asked first. The next one of an order takes its turn. A webhook that
    the host sends once more is then taken for a new one.
    """
    from addonkit.jobs.admin import DROPPED
    from addonkit.jobs.admin import drop as change

    done = asyncio.run(changed(config, ids, chosen, DROPPED, change, "deleted", dry_run, yes))
    tell(done, "deleted", dry_run, as_json)


Change = Callable[["Filter", "Progress"], Awaitable[int]]


async def changed(
    config: Path | None,
    ids: tuple[int, ...],
    chosen: dict[str, Any],
    states: tuple[JobState, ...],
    change: Change,
    what: str,
    dry_run: bool,
    yes: bool,
) -> tuple[int, list[Count]]:
    """Change the jobs that were named or chosen; give how many those were, and how they stood before.

    Raises:
        AddonkitError: A number is of no job or of one that stands elsewhere, or nobody agreed.
    """
    from addonkit.jobs.admin import counts, newest, refuse_others

    if bool(ids) == is_chosen(chosen):
        raise click.UsageError("say either which ID, or options that choose jobs")
    async with opened(config) as deployment:
        which = await filter_of(chosen, deployment, ids)
        if ids:
            await refuse_others(ids, states, what)
        # those that are counted and agreed to, and none that comes meanwhile
        allowed = tuple(state for state in states if state in which.states or not which.states)
        which = replace(which, states=allowed, up_to=await newest())
        found = await counts(which) if allowed else []
        total = sum(one.jobs for one in found)
        if dry_run or not total:
            return total, found
        if not ids:
            agree(f"{_number(total)} ({_named(found)}) will be {what}", yes)
        print_progress = progress_printer()
        return await change(which, lambda done: print_progress(f"{done} of {_number(total)} {what}")), found


def tell(done: tuple[int, list[Count]], what: str, dry_run: bool, as_json: bool) -> None:
    """Print what became of jobs."""
    number, found = done
    if as_json:
        print_json({what: 0 if dry_run else number, "dry_run": dry_run, "found": by_count(found)})
        return
    click.echo(f"{_number(number)} {'would be ' if dry_run else ''}{what}")
    if dry_run and found:
        print_rows(by_count(found), ("plugin", "name", "state", "jobs"), False)


def _number(jobs: int) -> str:
    return "no jobs" if jobs == 0 else "1 job" if jobs == 1 else f"{jobs} jobs"


def _named(found: list[Count]) -> str:
    """Jobs for a question."""
    first = ", ".join(f"{one.jobs} {one.state} of '{one.plugin}.{one.name}'" for one in found[:5])
    return one_line(f"{first} and others" if len(found) > 5 else first)


@with_config
@jobs.command(short_help="Print jobs as their state changes.")
@choosing(state=False)
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def tail(config: Path | None, as_json: bool, **chosen: Any) -> None:
    """Print jobs as they come, begin, fail and end, until Ctrl+C.

    It looks once a second: of what a job does between two looks, it tells where the job stands then.
    """
    job_choices.until_interrupted(_tail(config, chosen, as_json))


async def _tail(config: Path | None, chosen: dict[str, Any], as_json: bool) -> None:
    from addonkit.jobs.tail import Watch

    async with opened(config) as deployment:
        watch = Watch(await filter_of(chosen, deployment))
        while True:
            for job in await watch.changes():
                click.echo(orjson.dumps(_line(job)).decode() if as_json else _sentence(job))
            await job_choices.pause()


def _line(job: Entry) -> dict[str, Any]:
    return {"at": iso_time(time.time()), **brief(job)}


def _sentence(job: Entry) -> str:
    said = brief(job)
    line = f"{iso_time(time.time())} {job.id} {job_choices.tenant_of(said)} {job.plugin}.{job.name} {job.state}"
    details = [f"attempt {job.failures + 1}"] if job.state == "running" else []
    if job.state == "waiting":
        details.append(f"due {said['due']}")
    if job.error and job.state != "done":
        details.append(job_choices.first_line(job.error))
    return one_line(": ".join([line, *details]))
