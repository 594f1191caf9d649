"""A Jira issue panel that shows a greeting."""

from addonkit import Plugin
from pydantic import BaseModel, Field


class Settings(BaseModel):
    """Settings in the table [plugin.greeting] of addon.toml."""

    word: str = Field("Hello", max_length=40, description="Greeting before the issue key.")


plugin = Plugin("greeting", __name__, scopes={"READ"}, settings=Settings)


@plugin.module(
    "jiraIssueContents",
    name="Greeting",
    tooltip={"value": "Say hello"},
    icon={"width": 16, "height": 16, "url": plugin.static("icon.svg")},
)
async def panel(settings: Settings, issue_key: str) -> str:
    """Render the panel."""
    return await plugin.render("panel.html", word=settings.word, issue_key=issue_key)


@plugin.post("/wave")
async def wave(issue_key: str, times: int = 1) -> dict[str, str]:
    """Wave. The page calls this route: ``addonkit.fetch("wave", {method: "POST", json: {times: 3}})``."""
    return {"text": " ".join(["wave"] * times) + f" from {issue_key}"}
