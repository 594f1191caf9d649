"""Reports unexpected exceptions of all plugins to Sentry, with the site and the request as tags.

Neither tokens nor variables leave the add-on: Sentry's integrations, which record requests and log lines, are off, and
what looks like a token in a message is replaced.
"""

import re
from functools import cache
from typing import Any

import sentry_sdk
from addonkit import FailureFacts, Plugin
from pydantic import BaseModel, Field

TOKEN = re.compile(r"e[yw][\w-]{8,}\.[\w-]{8,}\.[\w-]*")
TAGS = ("kind", "plugin", "name", "tenant", "request_id", "trace_id", "job_id", "attempt", "will_retry")
FLUSH_S = 5.0


class Settings(BaseModel):
    """Settings in the table [plugin.sentry] of addon.toml."""

    dsn: str = Field(repr=False, description="The project's DSN; keep it in ADDONKIT_PLUGIN__SENTRY__DSN.")
    environment: str = Field("production", description="Name of the deployment in Sentry.")


plugin = Plugin("sentry", __name__, settings=Settings)


@plugin.hook
def addon_failed(error: BaseException, facts: FailureFacts) -> None:
    """Send an exception; addonkit calls this in a thread, so that it may wait for Sentry."""
    settings = plugin.current_settings()
    client = client_of(settings.dsn, settings.environment)
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        for name in TAGS:
            if (value := getattr(facts, name)) is not None:
                scope.set_tag(f"addonkit.{name}", str(value))
        sentry_sdk.capture_exception(error)
    client.flush(FLUSH_S)


@cache
def client_of(dsn: str, environment: str) -> sentry_sdk.Client:
    """Return the client of a project, which changes nothing else in the process."""
    return sentry_sdk.Client(
        dsn=dsn,
        environment=environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        before_send=without_tokens,
    )


def without_tokens(event: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    """Replace what looks like a token in the messages of an event."""
    for exception in event.get("exception", {}).get("values", ()):
        exception["value"] = TOKEN.sub("<token>", str(exception.get("value") or ""))
    return event
