"""Files of recorded webhooks: one JSON object per line, with what the host sent and no token or secret."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from addonkit.cli.output import iso_time
from addonkit.errors import AddonkitError
from addonkit.work import JobSpec, NewJob

if TYPE_CHECKING:
    from addonkit.jobs.query import JobRecord


def create(file: Path) -> IO[bytes]:
    """Create a file that only its owner can read.

    Raises:
        AddonkitError: The file exists already, or cannot be created.
    """
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise AddonkitError(f"'{file}' exists already; name a file that does not") from None
    except OSError as exc:
        raise AddonkitError(f"'{file}' cannot be written ({exc.strerror}); name another file") from exc


def record_line(job: JobRecord, body: bytes, events: Mapping[tuple[str, str], str]) -> bytes:
    """Return the line of one webhook.

    Args:
        job: The webhook's job.
        body: The request body.
        events: Events that enabled plugins listen to, by plugin and handler's name.
    """
    try:
        content = {"body": body.decode()}
    except UnicodeDecodeError:
        content = {"body_base64": b64encode(body).decode()}
    facts = job.facts
    return orjson.dumps(
        {
            "event": events.get((job.plugin, job.name)),
            "path": f"/webhooks/{job.plugin}/{job.name}",
            "plugin": job.plugin,
            "name": job.name,
            "objects": facts.get("objects", {}),
            "identifier": facts.get("identifier"),
            "flow": facts.get("flow", ""),
            "retry": facts.get("retry", 0),
            "received_at": iso_time(job.created_at),
            **content,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def read_jobs(file: Path, specs: Mapping[tuple[str, str], JobSpec], tenant_id: int) -> Iterator[NewJob]:
    """Read recorded webhooks as new jobs of one tenant.

    Args:
        file: A file that ``addonkit webhooks record`` wrote.
        specs: Webhook handlers of the enabled plugins, by plugin and name.
        tenant_id: Number of the tenant.

    Raises:
        AddonkitError: The file cannot be read, or a line is not a webhook that an enabled plugin handles.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _job(line, f"line {number} of '{file}'", specs, tenant_id)
    except OSError as exc:
        raise AddonkitError(
            f"'{file}' cannot be read ({exc.strerror}); name a file that 'addonkit webhooks record' wrote"
        ) from exc


def _job(line: bytes, where: str, specs: Mapping[tuple[str, str], JobSpec], tenant_id: int) -> NewJob:
    from addonkit.edge.webhooks import webhook_job

    try:
        values = orjson.loads(line)
        plugin, name, objects = str(values["plugin"]), str(values["name"]), _strings(values["objects"])
        body = values["body"].encode() if "body" in values else b64decode(values["body_base64"], validate=True)
        identifier, retry, flow = values.get("identifier"), values.get("retry", 0), values.get("flow", "")
        if not isinstance(identifier, str | None) or not isinstance(retry, int) or not isinstance(flow, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AddonkitError(
            f"{where} is not a webhook as 'addonkit webhooks record' writes it; correct or remove the line"
        ) from None
    spec = specs.get((plugin, name))
    if spec is None:
        raise AddonkitError(f"{where} is for '{plugin}.{name}', which no enabled plugin handles; enable the plugin")
    job = webhook_job(spec, tenant_id, body, objects, identifier, retry=retry, flow=flow)
    # Without a dedupe key: replaying a file twice is intended to run each webhook twice.
    return replace(job, dedupe=None)


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise TypeError
    return value
