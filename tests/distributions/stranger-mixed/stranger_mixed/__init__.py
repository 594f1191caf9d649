"""A plugin that uses what a product's plugin uses: pages, sessions, webhooks, schedules and host calls.

Whatever runs in the background stores an effect once, by the name of what caused it, and a run each time.
"""

from addonkit import Context, Plugin, Tenant, WebhookEvent
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

plugin = Plugin("stranger_mixed", __name__, scopes={"READ"}, models="stranger_mixed.models")
SUMMARY = {"fields": ["summary"]}


@plugin.module(
    "jiraIssueContents", name="Notes", tooltip={"value": "Notes"}, icon={"url": "/i", "width": 1, "height": 1}
)
async def panel(issue_id: str) -> str:
    from stranger_mixed.models import Note

    return await plugin.render("panel.html", count=await Note.filter(issue_id=issue_id).count())


@plugin.post("/notes")
async def add(context: Context, issue_id: str, text: str) -> dict[str, int]:
    """Store a note after a host call, for a page's session."""
    from stranger_mixed.models import Note

    issue = await context.host.get(f"/rest/api/3/issue/{issue_id}", SUMMARY)
    note = await Note.create(issue_id=issue_id, text=f"{issue['key']}: {text}"[:200])
    return {"id": note.id}


@plugin.get("/notes")
async def count(issue_id: str) -> dict[str, int]:
    from stranger_mixed.models import Note

    return {"count": await Note.filter(issue_id=issue_id).count()}


@plugin.webhook("jira:issue_updated")
async def updated(event: WebhookEvent) -> None:
    await once(f"updated {event.identifier}")


@plugin.webhook("comment_created")
async def commented(event: WebhookEvent, tenant: Tenant) -> None:
    """Call the host for each webhook."""
    await tenant.host.get("/rest/api/3/issue/10001", SUMMARY)
    await once(f"commented {event.identifier}")


@plugin.webhook("jira:issue_created", order="issue_id")
async def created(event: WebhookEvent) -> None:
    """Webhooks of one issue run one after another."""
    await once(f"created {event.identifier}", event.issue_id or "")


@plugin.every("10s")
async def often() -> None:
    """A schedule of the deployment; that of each site stores."""


@plugin.every("20s", each_tenant=True)
async def tick() -> None:
    from stranger_mixed.models import Run

    await Run.create(name="tick")


@plugin.hook
async def addon_installed(tenant: Tenant, first: bool) -> None:
    await once(f"installed {tenant.client_key}")


async def once(name: str, issue_id: str = "") -> None:
    """Store an effect, unless it is there, and that this ran."""
    from stranger_mixed.models import Effect, Run

    await Run.create(name=name)
    try:
        async with in_transaction():
            await Effect.create(name=name, issue_id=issue_id)
    except IntegrityError:
        return
