"""Prints jobs for ``addonkit jobs`` and ``addonkit webhooks``, and polls for changes until Ctrl+C."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
import orjson

from addonkit.cli.output import iso_time, print_rows
from addonkit.text import one_line, shortened

if TYPE_CHECKING:
    from addonkit.jobs.query import JobCount, JobRecord

MAX_PAYLOAD_LENGTH = 4000
"""Characters of a payload that are printed without ``--full``."""
POLL_S = 1.0
COLUMNS = (
    *("id", "tenant", "plugin", "name", "kind", "state", "starts", "failures", "due_at", "created_at", "finished_at"),
    "error",
)
COUNT_COLUMNS = ("plugin", "name", "state", "jobs")


def job_row(job: JobRecord) -> dict[str, Any]:
    """Return a job's values for a list."""
    return {
        "id": job.id,
        "tenant": job.tenant,
        "tenant_id": job.tenant_id,
        "plugin": job.plugin,
        "name": job.name,
        "kind": job.kind,
        "state": job.state,
        "starts": job.starts,
        "failures": job.failures,
        "due_at": iso_time(job.due_at),
        "created_at": iso_time(job.created_at),
        "finished_at": iso_time(job.finished_at),
        "error": job.error,
    }


def job_details(job: JobRecord, payload: bytes | None, *, full: bool) -> dict[str, Any]:
    """Return all values of a job, and its payload as JSON, text or base64.

    Args:
        job: The job.
        payload: Its payload; None if it was dropped.
        full: Whether to return the whole payload instead of ``MAX_PAYLOAD_LENGTH`` characters.
    """
    format_, value, is_truncated = ("dropped", None, False) if payload is None else _decoded(payload, full)
    return {
        **job_row(job),
        "deaths": job.deaths,
        "worker": job.worker,
        "lease_until": iso_time(job.lease_until),
        "order_key": job.order_key,
        "dedupe_key": job.dedupe,
        "request_id": job.request_id,
        "traceparent": job.traceparent,
        "version": job.version,
        "facts": job.facts,
        "payload_bytes": None if payload is None else len(payload),
        "payload_format": format_,
        "payload_truncated": is_truncated,
        "payload": value,
    }


def count_rows(counts: Iterable[JobCount]) -> list[dict[str, Any]]:
    """Return counts of jobs as rows with ``COUNT_COLUMNS``."""
    return [{"plugin": one.plugin, "name": one.name, "state": one.state, "jobs": one.jobs} for one in counts]


def print_jobs(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool, if_none: str) -> None:
    """Print a list of jobs.

    Args:
        rows: Values by column.
        columns: Columns of the table.
        as_json: Whether to print one JSON array instead of a table.
        if_none: What to print instead of an empty table.
    """
    if not rows and not as_json:
        click.echo(if_none)
        return
    if not as_json:
        rows = [{**row, "tenant": tenant_label(row), "error": first_line(row["error"])} for row in rows]
    print_rows(rows, columns, as_json)


def print_details(details: dict[str, Any]) -> None:
    """Print all values of a job as text."""
    for name, value in {**details, "tenant": tenant_label(details)}.items():
        if name in ("error", "facts", "payload") or name.startswith("payload_"):
            continue
        click.echo(f"{name:11} {one_line(str('-' if value is None else value))}")
    for name, value in details["facts"].items():
        click.echo(f"{name:11} {one_line(value if isinstance(value, str) else orjson.dumps(value).decode())}")
    if details["error"]:
        click.echo("\nerror")
        _print_lines(details["error"])
    if details["payload_format"] == "dropped":
        click.echo("\npayload: dropped when the job was done; see [jobs] keep_payloads_hours")
        return
    click.echo(f"\npayload ({details['payload_bytes']} bytes, {details['payload_format']})")
    if details["payload_format"] == "json":
        _print_lines(orjson.dumps(details["payload"], option=orjson.OPT_INDENT_2).decode())
    else:
        _print_lines(details["payload"])
    if details["payload_truncated"]:
        click.echo(f"… truncated after {MAX_PAYLOAD_LENGTH} characters; --full prints all")


def tenant_label(row: dict[str, Any]) -> str:
    """Return a readable name for the tenant of a job: its client key, or why it has none."""
    return str(row["tenant"] or (f"(purged: {row['tenant_id']})" if row["tenant_id"] else "(deployment)"))


def first_line(error: str | None) -> str:
    """Return the first line of an error, without its traceback."""
    return shortened((error or "").partition("\n")[0], 120)


async def poll_pause() -> None:
    """Wait until the next poll."""
    await asyncio.sleep(POLL_S)


def run_until_interrupted(work: Awaitable[None]) -> None:
    """Run a command until it ends or Ctrl+C is pressed."""

    async def run() -> None:
        await work

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        click.echo(err=True)


def _decoded(payload: bytes, full: bool) -> tuple[str, Any, bool]:
    """Return the format of a payload, its value, and whether the value is truncated."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = b64encode(payload).decode()
        return "base64", *_truncated(text, full)
    if not full and len(text) > MAX_PAYLOAD_LENGTH:
        return "text", *_truncated(text, full)
    try:
        return "json", orjson.loads(text), False
    except orjson.JSONDecodeError:
        return "text", text, False


def _truncated(text: str, full: bool) -> tuple[str, bool]:
    is_long = not full and len(text) > MAX_PAYLOAD_LENGTH
    return (text[:MAX_PAYLOAD_LENGTH] if is_long else text), is_long


def _print_lines(text: str) -> None:
    """Print a text with control characters escaped, except line ends."""
    for line in text.split("\n"):
        click.echo(one_line(line))
