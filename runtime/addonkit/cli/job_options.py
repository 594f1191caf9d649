"""Command-line options that select jobs, shared by ``addonkit jobs`` and ``addonkit webhooks``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from addonkit.work import JobKind, JobState

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.jobs.job_filter import JobFilter

F = TypeVar("F", bound=Callable[..., Any])
JOB_ID = click.IntRange(min=1, max=2**63 - 1)


class PastTime(click.ParamType[float]):
    """A time in the past as Unix time in seconds: an age such as ``15m``, or an ISO 8601 date, by default in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the value."""
        from addonkit.schedule import parse_duration

        if isinstance(value, float):
            return value
        if seconds := parse_duration(value):
            return time.time() - seconds
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f"'{value}' is not a time; write an age such as 15m, or a date such as 2026-05-01T12:00", param, ctx
            )


EVENT_OPTION = click.option("--event", metavar="EVENT", help="Only webhooks of this event, such as jira:issue_deleted.")


def filter_options(*, noun: str = "jobs", kind: bool = True, state: bool = True) -> Callable[[F], F]:
    """Add options that select jobs to a command; :func:`job_filter` reads their values.

    Args:
        noun: What the help calls the jobs.
        kind: Whether to include ``--kind``.
        state: Whether to include ``--state``.
    """
    options = [
        click.option("--plugin", metavar="NAME", help=f"Only {noun} of this plugin."),
        click.option("--name", metavar="NAME", help=f"Only {noun} with this name."),
        click.option(
            "--tenant",
            metavar="TENANT",
            help=f"Only {noun} of this tenant: number, key, URL or host name; 0 is the deployment itself.",
        ),
        click.option(
            "--since",
            type=PastTime(),
            metavar="TIME",
            help=f"Only {noun} enqueued since TIME: an age (90s, 15m, 6h, 2d) or an ISO 8601 date.",
        ),
        click.option("--error", metavar="TEXT", help=f"Only {noun} whose error contains TEXT."),
    ]
    if kind:
        kinds = click.Choice([str(one) for one in JobKind])
        options.append(click.option("--kind", type=kinds, help=f"Only {noun} of this kind."))
    if state:
        states = click.Choice([str(one) for one in JobState])
        options.append(
            click.option("--state", type=states, multiple=True, help=f"Only {noun} in this state (repeatable).")
        )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def has_filter(options: dict[str, Any]) -> bool:
    """Whether any option that selects jobs has a value."""
    return any(value not in (None, (), "") for value in options.values())


async def job_filter(options: dict[str, Any], deployment: Deployment, ids: Sequence[int] = ()) -> JobFilter:
    """Build the filter that the command line describes.

    Raises:
        AddonkitError: There is no such tenant, or no enabled plugin listens to the event.
    """
    from addonkit.jobs.job_filter import JobFilter
    from addonkit.tenancy.names import find_tenant_id

    tenant, kind, event = options.get("tenant"), options.get("kind"), options.get("event")
    return JobFilter(
        ids=tuple(ids),
        plugin=options.get("plugin"),
        name=options.get("name"),
        names=None if event is None else _handlers_of(event, deployment),
        kind=JobKind(kind) if kind else None,
        states=tuple(JobState(state) for state in options.get("state") or ()),
        tenant_id=None if tenant is None else await find_tenant_id(tenant),
        since=options.get("since"),
        error=options.get("error"),
    )


def webhook_events(deployment: Deployment) -> dict[tuple[str, str], str]:
    """Return the events that enabled plugins listen to, by plugin and handler's name."""
    return {
        (spec.plugin, spec.name): spec.event
        for one in deployment.registry.contributions.values()
        for spec in one.jobs.values()
        if spec.event
    }


def _handlers_of(event: str, deployment: Deployment) -> tuple[tuple[str, str], ...]:
    """Return plugin and name of each handler of an event."""
    from addonkit.errors import AddonkitError
    from addonkit.text import near_matches

    events = webhook_events(deployment)
    if found := tuple(pair for pair, one in events.items() if one == event):
        return found
    close = near_matches(event, set(events.values()))
    hint = f"did you mean '{close[0]}'" if close else "'addonkit descriptor' lists the webhooks of enabled plugins"
    raise AddonkitError(f"no enabled plugin listens to the event '{event}'; {hint}")
