"""Rows that plugins store about issues and Confluence content, and their deletion with the object they are about.

The host sends no event for each issue of a deleted project or page of a deleted space. So rows keep the id of their
*container*, the project or space, and a plugin that declares them with ``clean_up`` gets a webhook for deleted
containers, and a daily job for each site that asks the host about a few objects at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from addonkit.context import Tenant
from addonkit.current import current_runtime
from addonkit.errors import PluginError, StorageUnavailable
from addonkit.extension.background import Background, Job
from addonkit.extension.host_objects import KINDS, HostObjects, HostSilent, ObjectKind, Presence
from addonkit.extension.validation import includes_read
from addonkit.webhook_event import WebhookEvent
from addonkit.work import Attempt

BATCH_SIZE = 20
"""Objects that one job asks the host about, one after another."""
PAUSE_S = 60.0
"""Time between two of these jobs of one site."""
JOB_TIMEOUT_S = 600.0
DAY = timedelta(days=1)
RECHECK = timedelta(days=30)
"""Age of the host's last answer from which an object is asked about again."""
DELETED_BY_EVENT = datetime(2000, 1, 1, tzinfo=UTC)
"""``missing_since`` of rows whose container was deleted: one more 404 is enough."""
STATE_FIELDS = ("checked_at", "missing_since")

Delete = Callable[[str], Awaitable[object]]
"""Deletes everything that the plugin stores about one object of the current tenant, by the object's id."""
Check = Callable[[Tenant], Awaitable[None]]


class StoredContent:
    """The rows of one model that are about objects of the host.

    Args:
        model: The model.
        kind: The kind of the objects.
        id_field: The field with the object's id.
        container_field: The field with the container's id or key; empty while it is not known.
        delete: Deletes everything about one object.
    """

    def __init__(self, model: Any, kind: ObjectKind, id_field: str, container_field: str, delete: Delete) -> None:
        self.kind = kind
        self._model, self._delete = model, delete
        self._id, self._container = id_field, container_field
        self._max_container = model._meta.fields_map[container_field].max_length  # noqa: SLF001 - documented by Tortoise
        self.job: Job[Check]

    async def seen(self, object_id: str, container: str | None, rows: Iterable[Any]) -> None:
        """Note that the host has shown an object to a user, so that it exists; call it where a page is served.

        Writes only if the container has changed, as after a move, or if the object was missing.

        Args:
            object_id: The object's id, from a verified request.
            container: The container's id or key from the same request; None if the request has none.
            rows: The rows about the object that the page has read.
        """
        known = self._storable(container)
        rows = list(rows)
        moved = bool(known) and any(getattr(row, self._container) != known for row in rows)
        if moved or any(row.missing_since is not None for row in rows):
            await self._note(object_id, missing_since=None, **({self._container: known} if known else {}))

    def values(self, container: str | None, rows: Iterable[Any] = ()) -> dict[str, Any]:
        """Return the values of the container's field and ``checked_at`` for a new row about an object.

        Args:
            container: The container's id or key from a verified request; None if the request has none.
            rows: The rows about the same object; what they know is newer than the session of a page.
        """
        for row in rows:
            if known := getattr(row, self._container):
                return {self._container: known, "checked_at": row.checked_at}
        known = self._storable(container)
        return {self._container: known, "checked_at": datetime.now(UTC)} if known else {}

    async def check_soon(self, delay_s: float = 0.0) -> None:
        """Enqueue a job for the current tenant that asks the host about objects that are due."""
        await self.job.enqueue(dedupe=self.job.spec.name, order=self.job.spec.name, delay_s=delay_s)

    async def container_deleted(self, container: str | None, tenant: Tenant, *, last: bool) -> None:
        """Handle the event that a container was deleted.

        The event is not believed alone: the host must no longer show the container, and then none of its objects.

        Args:
            container: The container's id or key, from the event.
            tenant: The site that has sent the event.
            last: Whether there is no further attempt.

        Raises:
            HostSilent: The host still shows the container, or gave no answer.
        """
        if not (container := self._storable(container)):
            return
        rows = self._model.filter(**{self._container: container})
        if not await rows.exists():
            return
        presence = await HostObjects(tenant.host, self.kind).ask_container(container)
        if presence is Presence.MISSING:
            await rows.update(missing_since=DELETED_BY_EVENT, checked_at=None)
            await self.check_soon()
        elif last:
            _log().warning("content.event_ignored", kind=self.kind.name, container=container, presence=str(presence))
        else:
            raise HostSilent(f"'{container}' was deleted, but the host still has it")

    async def check(self, tenant: Tenant) -> None:
        """Ask the host about objects that are due, and enqueue the next job if there are more."""
        if tenant.product != self.kind.product or not (due := await self._due()):
            return
        host = HostObjects(tenant.host, self.kind)
        for object_id in due:
            try:
                await self._check_object(host, object_id)
            except HostSilent as error:
                _log().warning("content.check_suspended", kind=self.kind.name, reason=str(error))
                if error.retry_after_s is not None:
                    await self.check_soon(max(PAUSE_S, error.retry_after_s))
                return
        if len(due) == BATCH_SIZE:
            await self.check_soon(PAUSE_S)

    async def _due(self) -> list[str]:
        """Return the ids of the next objects to ask about: first those that were missing, then unknown and old ones."""
        now = datetime.now(UTC)
        conditions: Sequence[dict[str, Any]] = (
            {"missing_since__isnull": False, "checked_at__isnull": True},
            {"missing_since__isnull": False, "checked_at__lte": now - DAY},
            {"checked_at__isnull": True},
            {"checked_at__lte": now - RECHECK},
        )
        due: dict[str, None] = {}
        for condition in conditions:
            found = self._model.filter(**condition).order_by(self._id).distinct().limit(BATCH_SIZE)
            due |= dict.fromkeys(await found.values_list(self._id, flat=True))
        return list(due)[:BATCH_SIZE]

    async def _check_object(self, host: HostObjects, object_id: str) -> None:
        answer = await host.ask(object_id)
        if answer.presence is not Presence.MISSING:
            known = self._storable(answer.container)
            await self._note(object_id, missing_since=None, **({self._container: known} if known else {}))
            return
        now = datetime.now(UTC)
        since = await self._missing_since(object_id)
        # Noted first: if the deletion fails, it is repeated a day later, and other objects have their turn before.
        await self._note(object_id, missing_since=since or now)
        if since is not None and now - since >= timedelta(days=current_runtime().missing_content_days):
            await self._delete_all(object_id)

    async def _delete_all(self, object_id: str) -> None:
        try:
            await self._delete(object_id)
        except StorageUnavailable:
            raise
        except Exception:
            _log().exception("content.delete_failed", kind=self.kind.name, object_id=object_id)
        else:
            _log().info("content.deleted", kind=self.kind.name, object_id=object_id)

    async def _missing_since(self, object_id: str) -> datetime | None:
        """Return since when the host has not known an object; None if a row says that it was there since."""
        found = await self._model.filter(**{self._id: object_id}).values_list("missing_since", flat=True)
        return None if not found or None in found else min(found)

    async def _note(self, object_id: str, **values: Any) -> None:
        await self._model.filter(**{self._id: object_id}).update(checked_at=datetime.now(UTC), **values)

    def _storable(self, container: str | None) -> str:
        """Return a container as it is stored; empty if there is none, or if it is longer than the column."""
        return container if container and len(container) <= self._max_container and "\0" not in container else ""


class StoredContentPlugin(Background):
    """The part of a plugin that declares rows about objects of the host."""

    scopes: frozenset[str]

    def clean_up(
        self,
        model: Any,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        space: str | None = None,
        delete: Delete,
    ) -> StoredContent:
        """Delete rows about issues or Confluence content that the host no longer has.

        Declares a webhook for deleted projects or spaces and a daily job for each site. The plugin declares webhooks
        for single objects, such as ``jira:issue_deleted``, itself.

        Args:
            model: A ``TenantModel`` with the fields named here, and with nullable ``DatetimeField`` s ``checked_at``
                and ``missing_since``.
            issue: Name of the field with the issue's id.
            project: Name of the field with the id of the issue's project; ``""`` until it is known.
            content: Name of the field with the id of a page or other content.
            space: Name of the field with the key of the content's space; ``""`` until it is known.
            delete: Async function that deletes everything about one object of the current tenant, by the object's id.
                It may be called twice.

        Raises:
            PluginError: The fields are incomplete, or the model does not have them.
        """
        name, container = self._clean_up_fields(issue, project, content, space)
        kind = KINDS["issue" if issue else "content"]
        if not includes_read(self.scopes):
            raise PluginError(
                f"plugin '{self.name}' lacks the scope 'READ', with which clean_up asks the host whether an object "
                "exists; add 'READ' to the plugin's scopes",
                plugin=self.name,
            )
        _check_fields(self.name, model, (name, container, *STATE_FIELDS))
        stored = StoredContent(model, kind, name, container, delete)
        suffix = model._meta.db_table  # noqa: SLF001 - documented by Tortoise

        async def check(tenant: Tenant) -> None:
            await stored.check(tenant)

        async def check_daily(tenant: Tenant) -> None:
            await stored.check(tenant)

        check.__name__, check_daily.__name__ = f"check_{suffix}", f"check_{suffix}_daily"
        container_deleted = _container_handler(stored, kind)
        container_deleted.__name__ = f"{kind.container_event}_{suffix}"
        stored.job = self.job(timeout_s=JOB_TIMEOUT_S)(check)
        self.every("1d", each_tenant=True, timeout_s=JOB_TIMEOUT_S)(check_daily)
        self.webhook(kind.container_event)(container_deleted)
        return stored

    def _clean_up_fields(self, *fields: str | None) -> tuple[str, str]:
        issue, project, content, space = fields
        if issue and project and not content and not space:
            return issue, project
        if content and space and not issue and not project:
            return content, space
        raise PluginError(
            f"plugin '{self.name}': clean_up needs the fields of one kind of object; pass issue= and project=, or "
            "content= and space=",
            plugin=self.name,
        )


def _container_handler(stored: StoredContent, kind: ObjectKind) -> Callable[..., Awaitable[None]]:
    """Return the handler of the event that a project or space was deleted."""

    # The parameter puts the id into the webhook's URL, which Jira signs.
    async def project_deleted(event: WebhookEvent, attempt: Attempt, project_id: str) -> None:
        await stored.container_deleted(project_id or event.project_id, event.tenant, last=attempt.is_last)

    async def space_removed(event: WebhookEvent, attempt: Attempt) -> None:
        await stored.container_deleted(event.space_key, event.tenant, last=attempt.is_last)

    return project_deleted if kind.product == "jira" else space_removed


def _log() -> Any:
    from addonkit.log import structlog  # not imported at the top: building a descriptor does not need it

    return structlog.get_logger()


def _check_fields(plugin: str, model: Any, names: Sequence[str]) -> None:
    fields = getattr(getattr(model, "_meta", None), "fields_map", {})
    if missing := [name for name in names if name not in fields]:
        raise PluginError(
            f"plugin '{plugin}': clean_up needs the field '{missing[0]}' in '{getattr(model, '__name__', model)}'; add "
            "it, and write a migration with 'addonkit makemigrations'",
            plugin=plugin,
        )
