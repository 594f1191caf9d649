"""One plugin that two add-ons of a process have in common: it shows everything that is reached without an argument."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from addonkit import Context, Plugin, Tenant, WebhookEvent, current_context, current_tenant
from addonkit.app import Deployment
from addonkit.app.embedded import EmbeddedAddon
from addonkit.current import current_runtime
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.testing.databases import create_tables
from pydantic import BaseModel
from quart import Quart, current_app

from tests.support.notes import APPS
from tests.support.notes.models import Note, Slug

Config = Mapping[str, Mapping[str, Any]]


class Settings(BaseModel):
    """The plugin's settings."""

    word: str = "nothing"


plugin = Plugin("notes", __name__, scopes={"READ"}, settings=Settings, models="tests.support.notes.models")
started: list[tuple[str, str]] = []


@plugin.hook
def addon_startup(app: Quart) -> None:
    started.append((app.jinja_env.globals["addon_name"], plugin.current_settings().word))


@plugin.module("generalPages", name="page")
async def page(context: Context, settings: Settings, tenant: Tenant) -> str:
    """Write and read rows, and show what is current before and after other requests have run."""
    before = facts()
    await Note.create(title=settings.word, size=2)
    await asyncio.sleep(0)
    await Note.filter(title__istartswith=settings.word[:3].upper(), open=True).update(size=3)
    slug, _ = await Slug.get_or_create(slug="visits", defaults={"value": settings.word})
    await keep.enqueue(word=settings.word)
    rows = await Note.filter(size__gt=2, title__iexact=settings.word.upper()).order_by("id")
    after = facts()
    assert current_context() is context
    assert (before, tenant) == (after, current_tenant())
    shown = before | {
        "titles": sorted({row.title for row in rows}),
        "open": all(row.open is True for row in rows),
        "slug": slug.value,
        "thread": await asyncio.to_thread(lambda: facts()["word"]),
    }
    return await plugin.render("page.html", word=settings.word, facts=shown)


@plugin.module("generalPages", name="ask")
async def ask_host(context: Context) -> dict[str, Any]:
    """Call the host of the add-on's own site."""
    return dict(await context.host.get("/rest/api/3/myself"))


@plugin.job()
async def keep(word: str, tenant: Tenant, settings: Settings) -> None:
    await asyncio.sleep(0)
    assert current_tenant() == tenant
    await Note.create(title=f"job of {word} in {settings.word} {facts()['word']} {facts()['dialect']}")


@plugin.webhook("jira:issue_deleted")
async def deleted(event: WebhookEvent, tenant: Tenant) -> None:
    await Note.create(title=f"webhook in {plugin.current_settings().word}")


@plugin.get("/nothing")
async def nothing() -> dict[str, str]:
    return {"word": plugin.current_settings().word}


def facts() -> dict[str, Any]:
    """What is current here."""
    context: Any = current_runtime().orm_context
    return {
        "word": plugin.current_settings().word,
        "site": current_tenant().client_key,
        "dialect": context.dialect,
        "addon": current_app.jinja_env.globals["addon_name"],
    }


class InstalledTwin(Installed):
    """The plugin as installed, with the migrations of its tables."""

    @property
    def package(self) -> Path:
        return Path(__file__).parent.parent / "notes"


class TwinDeployment(Deployment):
    """A deployment whose only plugin is that of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return {
            "notes": (InstalledTwin("notes", "addonkit-notes", "1", EntryPoint("notes", f"{__name__}:plugin", "a")),)
        }


async def twin(folder: Path, word: str, base_url: str, config: Config) -> EmbeddedAddon:
    """Give an add-on with the plugin on a database with its tables, not yet started.

    Args:
        folder: The folder of its key file.
        word: The plugin's setting, and the add-on's name.
        base_url: Where it is mounted.
        config: ``[database]`` and ``[host]``, and whatever else differs.
    """
    defaults: dict[str, Mapping[str, Any]] = {
        "addon": {"key": f"com.example.{word}", "name": f"Add-on {word}", "base_url": base_url, "plugins": ["notes"]},
        "plugin": {"notes": {"word": word}},
        "operations": {"metrics_token": f"{word}-metrics-token-of-32-characters"},
    }
    deployment = TwinDeployment(read_settings(None, {**defaults, **config}), folder)
    await create_tables(deployment.location, APPS)
    return EmbeddedAddon(deployment)
