"""What ``addonkit jobs`` and ``addonkit webhooks`` have in common: options that choose jobs, and how jobs are told."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from addonkit.cli.output import iso_time, print_rows
from addonkit.text import one_line, shortened
from addonkit.work import JobKind, JobState

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.jobs.admin import Entry
    from addonkit.jobs.query import Filter

F = TypeVar("F", bound=Callable[..., Any])
LARGEST_ID = 2**63 - 1
BOUND = 4000
"""Characters of a payload that are shown unless all are asked for."""
LOOK_S = 1.0
COLUMNS = (
    *("id", "tenant", "plugin", "name", "kind", "state", "starts", "failures", "due", "created", "finished"),
    "error",
)

ID = click.IntRange(min=1, max=LARGEST_ID)


def choosing(*, kind: bool = True, state: bool = True) -> Callable[[F], F]:
    """Options that choose jobs; :func:`filter_of` reads them."""
    options = [
        click.option("--plugin", metavar="NAME", help="Of this plugin."),
        click.option("--name", metavar="NAME", help="Of this name."),
        click.option("--tenant", metavar="TENANT", help="Of this site; 0 is the deployment itself."),
        click.option("--since", type=Moment(), metavar="TIME", help="Put in since: 90s, 15m, 6h, 2d ago or ISO 8601."),
        click.option("--error", metavar="TEXT", help="With this in the error."),
    ]
    if kind:
        options.append(click.option("--kind", type=click.Choice([str(one) for one in JobKind]), help="Of this origin."))
    if state:
        states = click.Choice([str(one) for one in JobState])
        options.append(click.option("--state", type=states, multiple=True, help="In this state; may be repeated."))

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Moment(click.ParamType[float]):
    """A moment in the past: how long ago, or ISO 8601, in UTC unless it says otherwise. Gives Unix time in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        from addonkit.schedule import parse_duration

        if isinstance(value, float):
            return value
        if seconds := parse_duration(value):
            return time.time() - seconds
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is neither a time such as 2026-05-01T12:00 nor how long ago, such as 15m", param, ctx)


def is_chosen(chosen: dict[str, Any]) -> bool:
    """Whether any option chooses."""
    return any(value not in (None, (), "") for value in chosen.values())


async def filter_of(chosen: dict[str, Any], deployment: Deployment, ids: Sequence[int] = ()) -> Filter:
    """The jobs that the command line means.

    Raises:
        AddonkitError: There is no such site, or no plugin is told of such an event.
    """
    from addonkit.jobs.query import Filter
    from addonkit.tenancy.admin import find_site

    tenant, kind, event = chosen.get("tenant"), chosen.get("kind"), chosen.get("event")
    return Filter(
        ids=tuple(ids),
        plugin=chosen.get("plugin"),
        name=chosen.get("name"),
        names=None if event is None else _names_of(event, deployment),
        kind=JobKind(kind) if kind else None,
        states=tuple(JobState(state) for state in chosen.get("state") or ()),
        tenant_id=None if tenant is None else 0 if tenant == "0" else (await find_site(tenant)).id,
        since=chosen.get("since"),
        error=chosen.get("error"),
    )


def events_of(deployment: Deployment) -> dict[tuple[str, str], str]:
    """The host's events that enabled plugins are told of, by plugin and name."""
    return {
        (spec.plugin, spec.name): spec.event
        for one in deployment.registry.contributions.values()
        for spec in one.jobs.values()
        if spec.event
    }


def _names_of(event: str, deployment: Deployment) -> tuple[tuple[str, str], ...]:
    from addonkit.errors import AddonkitError
    from addonkit.text import near_matches

    events = events_of(deployment)
    if found := tuple(pair for pair, one in events.items() if one == event):
        return found
    close = near_matches(event, set(events.values()))
    hint = f"did you mean '{close[0]}'" if close else "'addonkit descriptor' shows those that one is told of"
    raise AddonkitError(f"no enabled plugin is told of '{event}'; {hint}")


def brief(job: Entry) -> dict[str, Any]:
    """What a list says of a job."""
    return {
        "id": job.id,
        "tenant": job.client_key,
        "tenant_id": job.tenant_id,
        "plugin": job.plugin,
        "name": job.name,
        "kind": job.kind,
        "state": job.state,
        "starts": job.starts,
        "failures": job.failures,
        "due": iso_time(job.due_at),
        "created": iso_time(job.created_at),
        "finished": iso_time(job.finished_at),
        "error": job.error,
    }


def tell_jobs(jobs: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool, none: str) -> None:
    """Print what a list says of jobs, or that there are none."""
    if not jobs and not as_json:
        click.echo(none)
        return
    if not as_json:
        jobs = [{**job, "tenant": tenant_of(job), "error": first_line(job["error"])} for job in jobs]
    print_rows(jobs, columns, as_json)


def tenant_of(job: dict[str, Any]) -> str:
    """The site of a job, for people."""
    return str(job["tenant"] or (f"(gone: {job['tenant_id']})" if job["tenant_id"] else "(deployment)"))


def first_line(error: str | None) -> str:
    """The beginning of an error: the rest says where it came from."""
    return shortened((error or "").partition("\n")[0], 120)


def whole(job: Entry, payload: bytes, *, bounded: bool) -> dict[str, Any]:
    """All that is known of a job, its payload in the form that it has."""
    form, value, is_cut = _readable(payload, bounded)
    return {
        **brief(job),
        "deaths": job.deaths,
        "worker": job.worker,
        "lease": iso_time(job.lease_until),
        "order": job.order_key,
        "dedupe": job.dedupe,
        "version": job.version,
        "facts": job.facts,
        "payload_bytes": len(payload),
        "payload_form": form,
        "payload_is_cut": is_cut,
        "payload": value,
    }


def _readable(payload: bytes, bounded: bool) -> tuple[str, Any, bool]:
    """The form of a payload, its value, and whether some of it is left out."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        coded = b64encode(payload).decode()
        return "base64", coded[:BOUND] if bounded else coded, bounded and len(coded) > BOUND
    if bounded and len(text) > BOUND:
        return "text", text[:BOUND], True
    try:
        return "json", orjson.loads(text), False
    except orjson.JSONDecodeError:
        return "text", text, False


def tell_whole(said: dict[str, Any]) -> None:
    """Print all that is known of a job, for people."""
    for name, value in {**said, "tenant": tenant_of(said)}.items():
        if name in ("error", "facts", "payload") or name.startswith("payload_"):
            continue
        click.echo(f"{name:10} {one_line(str('-' if value is None else value))}")
    for name, value in said["facts"].items():
        click.echo(f"{name:10} {one_line(value if isinstance(value, str) else orjson.dumps(value).decode())}")
    if said["error"]:
        click.echo("\nerror")
        _tell_text(said["error"])
    click.echo(f"\npayload ({said['payload_bytes']} bytes, {said['payload_form']})")
    if said["payload_form"] == "json":
        _tell_text(orjson.dumps(said["payload"], option=orjson.OPT_INDENT_2).decode())
    else:
        _tell_text(said["payload"])
    if said["payload_is_cut"]:
        click.echo(f"… cut after {BOUND} characters; --whole shows all")


def _tell_text(text: str) -> None:
    for line in text.split("\n"):
        click.echo(one_line(line))


async def pause() -> None:
    """Wait until the next look at what changes."""
    await asyncio.sleep(LOOK_S)


def until_interrupted(work: Awaitable[None]) -> None:
    """Run what has no end of its own; Ctrl+C is its regular one."""

    async def run() -> None:
        await work

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        click.echo(err=True)


def by_count(counted: Iterable[Any]) -> list[dict[str, Any]]:
    """Counts, as lists print them."""
    return [{"plugin": one.plugin, "name": one.name, "state": one.state, "jobs": one.jobs} for one in counted]
