"""Reads and writes properties, of the add-on or of entities of a site, that the host stores, as pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from addonkit.context import Product
from addonkit.errors import CallForbidden, HostError, ObjectIdInvalid, ResponseInvalid
from addonkit.host import Host, Property
from addonkit.validation_errors import first_error

M = TypeVar("M", bound=BaseModel)

MAX_VALUE_LENGTH = 32_768
"""Characters of a value's JSON. Source: the host refuses longer values."""
MAX_KEY_LENGTH = 127
MAX_CONFLICTS = 3
_JIRA_FOLDERS = {
    "issue": "/rest/api/3/issue/{}/properties",
    "project": "/rest/api/3/project/{}/properties",
    "comment": "/rest/api/3/comment/{}/properties",
    "user": "/rest/api/3/user/properties",
}
_CONFLUENCE_FOLDERS = {"content": "/rest/api/content/{}/property", "space": "/rest/api/space/{}/property"}


def build_property(
    host: Host, product: Product, addon_key: str, model: type[M], key: str, entity: Mapping[str, str]
) -> Property[M]:
    """Return a property; see ``Host.property``.

    Raises:
        CallForbidden: The key is invalid, or the product has no such entity.
        ObjectIdInvalid: The entity's id is empty.
    """
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise CallForbidden(f"the property key has {len(key)} characters, expected 1 to {MAX_KEY_LENGTH}; shorten it")
    if len(entity) > 1:
        raise CallForbidden(f"a property belongs to one entity, found {' and '.join(sorted(entity))}; pass one")
    name = quote(key, safe="")
    if not entity:
        folder = f"/rest/atlassian-connect/1/addons/{quote(addon_key, safe='')}/properties"
        return _PlainProperty(host, model, f"{folder}/{name}")
    [(kind, entity_id)] = entity.items()
    folders = _JIRA_FOLDERS if product == "jira" else _CONFLUENCE_FOLDERS
    if kind not in folders:
        raise CallForbidden(f"{product.title()} stores no properties of '{kind}', expected one of {', '.join(folders)}")
    if not entity_id:
        raise ObjectIdInvalid(f"'{kind}' is empty; pass the entity's id or key")
    folder = folders[kind].format(quote(entity_id, safe=""))
    if product == "confluence":
        return _VersionedProperty(host, model, folder, key)
    return _PlainProperty(host, model, f"{folder}/{name}", {"accountId": entity_id} if kind == "user" else None)


@dataclass(frozen=True, slots=True)
class _PlainProperty(Generic[M]):
    """A property that PUT creates or overwrites."""

    host: Host
    model: type[M]
    path: str
    params: Mapping[str, str] | None = None

    async def get(self) -> M | None:
        found = await _get(self.host, self.path, self.params)
        return None if found is None else _parse(self.model, found.get("value"), self.path)

    async def put(self, value: M) -> None:
        content = _encode(value, self.model, self.path).encode()
        headers = {"content-type": "application/json"}
        await self.host.request("PUT", self.path, params=self.params or {}, content=content, headers=headers)

    async def delete(self) -> None:
        await _delete(self.host, self.path, self.params)


@dataclass(frozen=True, slots=True)
class _VersionedProperty(Generic[M]):
    """A property of Confluence, whose update has to name the next version number (optimistic locking)."""

    host: Host
    model: type[M]
    folder: str
    key: str

    @property
    def path(self) -> str:
        return f"{self.folder}/{quote(self.key, safe='')}"

    async def get(self) -> M | None:
        found = await _get(self.host, self.path, None)
        return None if found is None else _parse(self.model, found.get("value"), self.path)

    async def put(self, value: M) -> None:
        _encode(value, self.model, self.path)
        body: dict[str, Any] = {"key": self.key, "value": value.model_dump(mode="json", by_alias=True)}
        for attempt in range(MAX_CONFLICTS):
            found = await _get(self.host, self.path, None)
            try:
                if found is None:
                    await self.host.post(self.folder, body)
                else:
                    number = int((found.get("version") or {}).get("number", 0)) + 1
                    await self.host.put(self.path, {**body, "version": {"number": number}})
            except HostError as error:
                # Another writer was faster. The last writer wins, as in Jira.
                if error.status != 409 or attempt == MAX_CONFLICTS - 1:
                    raise
            else:
                return

    async def delete(self) -> None:
        await _delete(self.host, self.path, None)


async def _get(host: Host, path: str, params: Mapping[str, str] | None) -> dict[str, Any] | None:
    """Read a property; None if it does not exist."""
    try:
        found = await host.get(path, params)
    except HostError as error:
        if error.status == 404:
            return None
        raise
    if not isinstance(found, dict):
        raise ResponseInvalid(
            f"the host's response to 'GET {path}' is not a property, expected an object with a 'value'"
        )
    return found


async def _delete(host: Host, path: str, params: Mapping[str, str] | None) -> None:
    try:
        await host.delete(path, params)
    except HostError as error:
        if error.status != 404:
            raise


def _parse(model: type[M], value: Any, path: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = first_error(error)
        raise ResponseInvalid(
            f"the property '{path}' does not match '{model.__name__}': '{first.place or 'value'}': {first.message}; "
            "another program may have written it; replace it with put() or remove it with delete()"
        ) from None


def _encode(value: BaseModel, model: type[BaseModel], path: str) -> str:
    """Encode the value as JSON.

    Raises:
        CallForbidden: It is longer than the host accepts.
        TypeError: It is an instance of another model.
    """
    if not isinstance(value, model):
        raise TypeError(f"the value of '{path}' has the type '{type(value).__name__}', expected '{model.__name__}'")
    encoded = value.model_dump_json(by_alias=True)
    if len(encoded) > MAX_VALUE_LENGTH:
        raise CallForbidden(
            f"the value of the property '{path}' has {len(encoded)} characters, and the host accepts "
            f"{MAX_VALUE_LENGTH}; store less, or use a table of the plugin"
        )
    return encoded
