"""A plugin that stores notes on issues in a table of its own."""

import click
from addonkit import Plugin
from pydantic import BaseModel, SecretStr


class Settings(BaseModel):
    """Settings of the plugin."""

    title: str = "Notes"
    limit: int = 10
    labels: list[str] = []
    api_token: SecretStr = SecretStr("")


plugin = Plugin("stranger_notes", __name__, scopes={"read", "WRITE"}, settings=Settings, models="stranger_notes.models")


@plugin.module(
    "jiraIssueContents",
    name="Notes",
    tooltip={"value": "Notes"},
    icon={"width": 16, "height": 16, "url": plugin.static("icon.svg")},
)
async def panel(settings: Settings, issue_id: str) -> str:
    return await plugin.render("notes.html", title=settings.title, issue_id=issue_id)


@plugin.get("/notes")
async def notes() -> list[str]:
    from stranger_notes.models import Note

    return [note.text for note in await Note.all().order_by("id")]


@plugin.post("/notes")
async def add(text: str) -> None:
    from stranger_notes.models import Note

    await Note.create(text=text)


@plugin.hook
def addon_commands() -> list[click.Command]:
    @click.command()
    @click.pass_obj
    def key(deployment: object) -> None:
        """Print the add-on's key."""
        click.echo(deployment.settings.addon.key)  # type: ignore[attr-defined]

    @click.command()
    def fail() -> None:
        """Raise KeyboardInterrupt, as Ctrl+C does."""
        raise KeyboardInterrupt

    return [key, fail]
