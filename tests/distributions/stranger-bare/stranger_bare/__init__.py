"""A plugin without ``Plugin``: hook implementations in a module, and routes on a Quart blueprint."""

from datetime import datetime

import click
from addonkit import (
    Context,
    FailureFacts,
    JobInvocation,
    JobKind,
    JobSpec,
    Module,
    Route,
    Tenant,
    exact,
    hookimpl,
    own_page,
    public,
)
from pydantic import BaseModel
from quart import Blueprint, Quart, current_app

ADDONKIT_API = 1
blueprint = Blueprint("stranger_bare", __name__, url_prefix="/stranger_bare")


class Settings(BaseModel):
    """Settings of the plugin."""

    greeting: str = "Hello"


@blueprint.get("/open")
@public
async def open_to_all() -> str:
    return str(current_app.config["STRANGER"])


@blueprint.get("/page")
@exact
async def page() -> str:
    from stranger_bare.models import Visit

    return ", ".join([visit.text for visit in await Visit.all().order_by("id")])


@blueprint.get("/visits")
@own_page
async def visits() -> list[str]:
    from stranger_bare.models import Visit

    return [visit.text for visit in await Visit.all()]


@hookimpl
def addon_modules() -> list[Module]:
    body = {"key": "bare-page", "name": {"value": "Bare"}, "url": "/stranger_bare/page"}
    return [Module("generalPages", "stranger_bare", body)]


@hookimpl
def addon_settings() -> type[BaseModel]:
    return Settings


@hookimpl
def addon_models() -> str:
    return "stranger_bare.models"


async def count(_: JobInvocation) -> None:
    """A job handler for which no job is enqueued."""


@hookimpl
def addon_jobs() -> list[JobSpec]:
    return [JobSpec("stranger_bare", "count", JobKind.JOB, count)]


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint


@hookimpl
def addon_scopes() -> set[str]:
    return {"read"}


@hookimpl
def addon_commands() -> list[click.Command]:
    return [click.Command("stranger_bare", callback=lambda: click.echo("at your service"))]


@hookimpl
def addon_startup(app: Quart) -> None:
    app.config["STRANGER"] = "come in"


@hookimpl
async def addon_admit(context: Context, route: Route) -> tuple[str, int] | None:
    if context.account_id == "acc-broken":
        raise LookupError("no such account")
    return (f"no {route.endpoint} for you", 403) if context.account_id == "acc-banned" else None


@hookimpl
async def addon_installed(tenant: Tenant, first: bool) -> None:
    await _note(f"installed {tenant.product} {first}")


@hookimpl
async def addon_enabled(tenant: Tenant) -> None:
    await _note(f"enabled {tenant.product}")


@hookimpl
async def addon_disabled(tenant: Tenant) -> None:
    await _note(f"disabled {tenant.product}")


@hookimpl
async def addon_uninstalled(tenant: Tenant) -> None:
    await _note(f"uninstalled {tenant.product}")


@hookimpl
async def addon_missed(tenant: Tenant, since: datetime) -> None:
    await _note(f"missed {tenant.product} {since:%Y-%m-%d}")


@hookimpl
async def addon_purge(tenant: Tenant) -> None:
    from stranger_bare.models import Visit

    if await Visit.exists(text="busy"):
        raise ValueError("the files of https://secret.example are busy")
    await Visit.create(text="purged")
    click.echo(f"forgets {tenant.client_key} with {await Visit.all().count()} visits", err=True)


@hookimpl
async def addon_failed(error: BaseException, facts: FailureFacts) -> None:
    await _note(f"failed {facts.kind} {facts.plugin} {facts.name} {type(error).__name__}")


async def _note(text: str) -> None:
    from stranger_bare.models import Visit

    await Visit.create(text=text)
