"""Properties that the host keeps for add-ons, as pydantic models: the add-on's own, and those of things on a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from addonkit.context import Product
from addonkit.errors import CallForbidden, HostError, ResponseInvalid
from addonkit.host import Property

if TYPE_CHECKING:
    from addonkit.hostapi.host import SiteHost
from addonkit.validation_errors import first_error

M = TypeVar("M", bound=BaseModel)

LONGEST_VALUE = 32_768
"""Characters of a value's JSON. Source: the host refuses longer ones."""
LONGEST_KEY = 127
CONFLICTS = 3
_JIRA = {
    "issue": "/rest/api/3/issue/{}/properties",
    "project": "/rest/api/3/project/{}/properties",
    "comment": "/rest/api/3/comment/{}/properties",
    "user": "/rest/api/3/user/properties",
}
_CONFLUENCE = {"content": "/rest/api/content/{}/property", "space": "/rest/api/space/{}/property"}


def property_of(
    host: SiteHost, product: Product, addon_key: str, model: type[M], key: str, entity: Mapping[str, str]
) -> Property[M]:
    """One property; see ``Host.property``.

    Raises:
        CallForbidden: The key is none, or the product has no such entity.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise CallForbidden(f"a property's key has {len(key)} characters, expected 1 to {LONGEST_KEY}; rename it")
    if len(entity) > 1:
        raise CallForbidden(f"a property belongs to one thing, not to {' and '.join(sorted(entity))}; name one")
    name = quote(key, safe="")
    if not entity:
        base = f"/rest/atlassian-connect/1/addons/{quote(addon_key, safe='')}/properties"
        return _Plain(host, model, f"{base}/{name}")
    [(kind, number)] = entity.items()
    folders = _JIRA if product == "jira" else _CONFLUENCE
    if kind not in folders:
        raise CallForbidden(
            f"'{kind}' is nothing that {product.title()} keeps properties of; name one of {', '.join(folders)}"
        )
    if not number:
        raise CallForbidden(f"'{kind}' is empty, and a property belongs to one; give its number or key")
    folder = folders[kind].format(quote(number, safe=""))
    if product == "confluence":
        return _Versioned(host, model, folder, key)
    return _Plain(host, model, f"{folder}/{name}", {"accountId": number} if kind == "user" else None)


@dataclass(frozen=True, slots=True)
class _Plain(Generic[M]):
    """A property that is written over."""

    host: SiteHost
    model: type[M]
    path: str
    params: Mapping[str, str] | None = None

    async def get(self) -> M | None:
        found = await _or_none(self.host, self.path, self.params)
        return None if found is None else _read(self.model, found.get("value"), self.path)

    async def put(self, value: M) -> None:
        written = _written(value, self.model, self.path)
        headers = {"content-type": "application/json"}
        await self.host.request("PUT", self.path, params=self.params or {}, content=written.encode(), headers=headers)

    async def delete(self) -> None:
        await _deleted(self.host, self.path, self.params)


@dataclass(frozen=True, slots=True)
class _Versioned(Generic[M]):
    """A property whose next version has to be named, as Confluence has them."""

    host: SiteHost
    model: type[M]
    folder: str
    key: str

    @property
    def path(self) -> str:
        return f"{self.folder}/{quote(self.key, safe='')}"

    async def get(self) -> M | None:
        found = await _or_none(self.host, self.path, None)
        return None if found is None else _read(self.model, found.get("value"), self.path)

    async def put(self, value: M) -> None:
        _written(value, self.model, self.path)
        body: dict[str, Any] = {"key": self.key, "value": value.model_dump(mode="json", by_alias=True)}
        for attempt in range(CONFLICTS):
            found = await _or_none(self.host, self.path, None)
            try:
                if found is None:
                    await self.host.post(self.folder, body)
                else:
                    number = int((found.get("version") or {}).get("number", 0)) + 1
                    await self.host.put(self.path, {**body, "version": {"number": number}})
            except HostError as wrong:
                # somebody else wrote meanwhile; the last one has the word, as with Jira's
                if wrong.status != 409 or attempt == CONFLICTS - 1:
                    raise
            else:
                return

    async def delete(self) -> None:
        await _deleted(self.host, self.path, None)


async def _or_none(host: SiteHost, path: str, params: Mapping[str, str] | None) -> dict[str, Any] | None:
    try:
        found = await host.get(path, params)
    except HostError as wrong:
        if wrong.status == 404:
            return None
        raise
    if not isinstance(found, dict):
        raise ResponseInvalid(f"the host's answer to 'GET {path}' is no property, expected an object with a 'value'")
    return found


async def _deleted(host: SiteHost, path: str, params: Mapping[str, str] | None) -> None:
    try:
        await host.delete(path, params)
    except HostError as wrong:
        if wrong.status != 404:
            raise


def _read(model: type[M], value: Any, path: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        first = first_error(wrong)
        raise ResponseInvalid(
            f"the property '{path}' is no '{model.__name__}': '{first.place or 'it'}' {first.message}; somebody else "
            "may have written it, put() a good one or delete() it"
        ) from None


def _written(value: BaseModel, model: type[BaseModel], path: str) -> str:
    """The value's JSON.

    Raises:
        CallForbidden: It is longer than the host takes.
        TypeError: It is of another model.
    """
    if not isinstance(value, model):
        raise TypeError(f"the value of '{path}' is of the type '{type(value).__name__}', expected '{model.__name__}'")
    written = value.model_dump_json(by_alias=True)
    if len(written) > LONGEST_VALUE:
        raise CallForbidden(
            f"the value of the property '{path}' has {len(written)} characters, and the host takes {LONGEST_VALUE}; "
            "store less of it there, or rows of your own"
        )
    return written
