"""``addonkit webhooks``: what the host told of, as it is stored: looked at, recorded, and handled again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli import job_options as job_choices
from addonkit.cli.database import opened
from addonkit.cli.group import config_option, with_config
from addonkit.cli.job_options import COLUMNS, ID, brief, choosing, events_of, filter_of, is_chosen, tell_jobs
from addonkit.cli.jobs import changed, tell
from addonkit.cli.output import print_json, print_rows, progress_printer
from addonkit.errors import AddonkitError
from addonkit.work import JobKind

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.jobs.admin import Entry

EVENT = click.option("--event", metavar="EVENT", help="Of this event, by the host's name for it.")


@click.group(params=[config_option(expose=False)], short_help="Inspect, record, replay and recover webhooks.")
def webhooks() -> None:
    """Webhooks that the host sent.

    Each is stored before it is acknowledged and handled as a job; those that were handled are kept for
    [jobs] keep_done_hours.
    """


@with_config
@webhooks.command("list", short_help="List stored webhooks, newest first.")
@choosing(kind=False)
@EVENT
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most this many rows.")
def list_(config: Path | None, as_json: bool, limit: int, **chosen: Any) -> None:
    """List stored webhooks, the newest first."""

    async def listed() -> list[dict[str, Any]]:
        from addonkit.jobs.admin import listed

        async with opened(config) as deployment:
            events = events_of(deployment)
            which = await filter_of({**chosen, "kind": JobKind.WEBHOOK}, deployment)
            return [_brief(one, events) for one in await listed(which, limit)]

    columns = [column for column in COLUMNS if column != "kind"]
    columns.insert(columns.index("state"), "event")
    tell_jobs(asyncio.run(listed()), columns, as_json, "no webhooks")


def _brief(job: Entry, events: dict[tuple[str, str], str]) -> dict[str, Any]:
    return {
        **brief(job),
        "event": events.get((job.plugin, job.name)),
        "objects": job.facts.get("objects", {}),
        "identifier": job.facts.get("identifier"),
        "retry": job.facts.get("retry", 0),
        "flow": job.facts.get("flow", ""),
    }


@with_config
@webhooks.command("show", short_help="Show one webhook with its body.")
@click.argument("number", metavar="ID", type=ID)
@click.option("--whole", is_flag=True, help="The body without a bound.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, of this webhook.")
def show_(config: Path | None, number: int, whole: bool, as_json: bool) -> None:
    """Show one webhook: its body, the objects that its URL named, and how it stands."""

    async def looked_at() -> dict[str, Any]:
        from addonkit.jobs.admin import one

        async with opened(config) as deployment:
            job, body = await one(number)
            _refuse_other(job)
            event = events_of(deployment).get((job.plugin, job.name))
            return {**job_choices.whole(job, body, bounded=not whole), "event": event}

    said = asyncio.run(looked_at())
    if as_json:
        print_json([said])
    else:
        job_choices.tell_whole(said)


def _refuse_other(job: Entry) -> None:
    if job.kind != JobKind.WEBHOOK:
        raise AddonkitError(f"job {job.id} is no webhook but a {job.kind}; look at 'addonkit jobs show {job.id}'")


@with_config
@webhooks.command(short_help="Run stored or recorded webhooks again.")
@click.argument("ids", metavar="[ID]...", type=ID, nargs=-1)
@choosing(kind=False)
@EVENT
@click.option("--file", "file", type=click.Path(path_type=Path), help="Those that 'record' wrote, for --tenant.")
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would be replayed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(
    config: Path | None,
    ids: tuple[int, ...],
    file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Handle webhooks again, also those that were done: stored ones by ID or options, or recorded ones from a file.

    With --file each becomes a new job of the site that --tenant names, whatever site it came from.
    """
    if file is not None:
        if ids or not chosen["tenant"] or is_chosen({**chosen, "tenant": None}):
            raise click.UsageError("with --file say --tenant, and nothing else that chooses")
        number = asyncio.run(_put(config, file, chosen["tenant"], dry_run))
        if as_json:
            print_json({"replayed": 0 if dry_run else number, "dry_run": dry_run, "found": number})
        else:
            click.echo(f"{_number(number, 'recorded webhook')} {'would be ' if dry_run else ''}put into the queue")
        return
    from addonkit.jobs.admin import REPLAYED
    from addonkit.jobs.admin import replay as change

    if not ids and not is_chosen(chosen):
        raise click.UsageError("say which ID, options that choose webhooks, or --file")
    if ids:
        asyncio.run(_refuse_others(config, ids))
    else:
        chosen["kind"] = str(JobKind.WEBHOOK)
    done = asyncio.run(changed(config, ids, chosen, REPLAYED, change, "replayed", dry_run, yes))
    tell(done, "replayed", dry_run, as_json)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


async def _refuse_others(config: Path | None, ids: tuple[int, ...]) -> None:
    """Refuse numbers of jobs that are no webhooks."""
    from addonkit.jobs.admin import listed
    from addonkit.jobs.query import Filter

    async with opened(config):
        for job in await listed(Filter(ids=ids), len(ids)):
            _refuse_other(job)


async def _put(config: Path | None, file: Path, tenant: str, dry_run: bool) -> int:
    from addonkit.cli.webhook_files import recorded
    from addonkit.jobs.queue import JobQueue
    from addonkit.tenancy.admin import find_site

    async with opened(config) as deployment:
        site = await find_site(tenant)
        specs = {(plugin, name): job for plugin, name, job in _specs(deployment)}
        # all lines are looked at before the first is put
        total = sum(1 for _ in recorded(file, specs, site.id))
        if dry_run:
            return total
        print_progress = progress_printer()
        for number, job in enumerate(recorded(file, specs, site.id), start=1):
            await JobQueue().put(job)
            print_progress(f"{number} of {total} webhooks replayed")
        return total


def _specs(deployment: Deployment) -> list[tuple[str, str, Any]]:
    return [
        (spec.plugin, spec.name, spec)
        for one in deployment.registry.contributions.values()
        for spec in one.jobs.values()
        if spec.kind is JobKind.WEBHOOK
    ]


@with_config
@webhooks.command(short_help="Fetch webhooks that Jira could not deliver.")
@click.option("--tenant", help="This site alone: its number, client key or address.")
@click.option("--since", type=job_choices.Moment(), metavar="TIME", help="Failed since: 15m, 2d ago or ISO 8601.")
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would be recovered.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, a site each.")
def recover(config: Path | None, tenant: str | None, since: float | None, dry_run: bool, as_json: bool) -> None:
    """Ask Jira sites for webhooks that they could not deliver, and put those that are not here yet into the queue.

    Jira keeps them for 72 hours. Exits with 1 if a site did not tell.
    """
    from addonkit.cli.webhook_recovery import recover_all

    rows = asyncio.run(recover_all(config, tenant, since, dry_run))
    print_rows(rows, ["site", "found", "new", "unknown", "error"], as_json)
    if not as_json:
        fresh = _number(sum(row["new"] for row in rows), "webhook")
        click.echo(f"{fresh} {'would be ' if dry_run else ''}put into the queue", err=True)
    sys.exit(1 if any(row["error"] for row in rows) else 0)


@with_config
@webhooks.command(short_help="Copy webhooks to a file as they arrive.")
@click.argument("file", type=click.Path(path_type=Path))
@choosing(kind=False, state=False)
@EVENT
@click.option("--existing", is_flag=True, help="Those that are stored now, and end.")
def record(config: Path | None, file: Path, existing: bool, **chosen: Any) -> None:
    """Copy webhooks into FILE as they come, until Ctrl+C: one JSON object a line, for 'replay --file'.

    FILE must not be there. It holds what the host sent, which nobody but you may read, and no token or secret.
    """
    written = [0]
    try:
        job_choices.until_interrupted(_record(config, file, existing, chosen, written))
    finally:
        click.echo(f"{_number(written[0], 'webhook')} recorded", err=True)


async def _record(config: Path | None, file: Path, existing: bool, chosen: dict[str, Any], written: list[int]) -> None:
    from dataclasses import replace

    from addonkit.cli.webhook_files import created, line_of
    from addonkit.jobs.admin import newest, one
    from addonkit.jobs.tail import Arrivals

    async with opened(config) as deployment:
        which = await filter_of({**chosen, "kind": JobKind.WEBHOOK}, deployment)
        events, last = events_of(deployment), await newest()
        arrivals = Arrivals(replace(which, up_to=last) if existing else which, 0 if existing else last)
        with created(file) as out:
            while True:
                found = await arrivals.new()
                for job in found:
                    try:
                        out.write(line_of(*await one(job.id), events))
                    except AddonkitError:  # it was deleted meanwhile
                        continue
                    out.flush()
                    written[0] += 1
                if existing and not found:
                    return
                if not existing:
                    await job_choices.pause()
