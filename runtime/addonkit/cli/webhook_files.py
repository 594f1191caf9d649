"""Files of recorded webhooks: one JSON object a line, with what the host sent and no token or secret."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from addonkit.cli.output import iso_time
from addonkit.errors import AddonkitError
from addonkit.work import JobKind, JobSpec, NewJob

if TYPE_CHECKING:
    from addonkit.jobs.admin import Entry

LONGEST_ORDER = 255


def created(file: Path) -> IO[bytes]:
    """A new file that only its owner may read.

    Raises:
        AddonkitError: It is there already, or cannot be made.
    """
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise AddonkitError(f"'{file}' is there already; name a file that is not") from None
    except OSError as wrong:
        raise AddonkitError(f"'{file}' cannot be written ({wrong.strerror}); name another file") from wrong


def line_of(job: Entry, body: bytes, events: Mapping[tuple[str, str], str]) -> bytes:
    """One webhook as it is recorded."""
    try:
        said = {"body": body.decode()}
    except UnicodeDecodeError:
        said = {"body_base64": b64encode(body).decode()}
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
            **said,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def recorded(file: Path, specs: Mapping[tuple[str, str], JobSpec], tenant_id: int) -> Iterator[NewJob]:
    """Give the webhooks of a file as new jobs of a site.

    Args:
        file: What ``record`` wrote.
        specs: The webhooks of enabled plugins, by plugin and name.
        tenant_id: Number of the site.

    Raises:
        AddonkitError: It cannot be read, or a line is no webhook that an enabled plugin is told of.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _job(line, f"line {number} of '{file}'", specs, tenant_id)
    except OSError as wrong:
        raise AddonkitError(f"'{file}' cannot be read ({wrong.strerror}); name what 'record' wrote") from wrong


def _job(line: bytes, where: str, specs: Mapping[tuple[str, str], JobSpec], tenant_id: int) -> NewJob:
    try:
        said = orjson.loads(line)
        plugin, name, objects = str(said["plugin"]), str(said["name"]), _texts(said["objects"])
        body = said["body"].encode() if "body" in said else b64decode(said["body_base64"], validate=True)
        identifier, retry, flow = said.get("identifier"), said.get("retry", 0), said.get("flow", "")
        if not isinstance(identifier, str | None) or not isinstance(retry, int) or not isinstance(flow, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AddonkitError(f"{where} is no webhook as 'record' writes them; mend it or leave it out") from None
    spec = specs.get((plugin, name))
    if spec is None:
        raise AddonkitError(f"{where} is for '{plugin}.{name}', which no enabled plugin handles; enable it first")
    about = objects.get(spec.order) if spec.order else None
    # without a word that it is known by once: who replays a file twice means it
    return NewJob(
        plugin,
        name,
        JobKind.WEBHOOK,
        body,
        facts={"objects": objects, "identifier": identifier, "retry": retry, "flow": flow},
        order=f"{name}:{about}"[:LONGEST_ORDER] if about else None,
        tenant_id=tenant_id,
    )


def _texts(said: Any) -> dict[str, str]:
    if not isinstance(said, dict) or not all(isinstance(one, str) for one in said.values()):
        raise TypeError
    return said
