"""Confluence's screens: pages with their macros, the editor, exports, and the add-on's full pages."""

from __future__ import annotations

from typing import Any

from addonkit.testing import Variables
from quart import Blueprint, Response, abort, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.markup import clean
from addonkit_sandbox.places import CONFLUENCE_PAGES, MACROS, Place, on_document
from addonkit_sandbox.removal import show_gone
from addonkit_sandbox.sample import DOCUMENTS, SPACE, Document
from addonkit_sandbox.simulation import fresh_id
from addonkit_sandbox.state import Macro
from addonkit_sandbox.web import show, simulation, visitor

blueprint = Blueprint("confluence", __name__, url_prefix="/wiki")
EXPORTS = {"pdf": "PDF", "word": "Word", "email": "Email"}
_PAGE = "/spaces/<space>/pages/<page_id>"
_LONGEST_BODY_IN_URL = 128


@blueprint.get(_PAGE)
async def page(space: str, page_id: str) -> ResponseReturnValue:
    """A page, to be read or, with ``?edit=1``, to be edited."""
    if space == SPACE["key"] and page_id in DOCUMENTS and page_id in simulation().state.removed:
        return await show_gone("confluence", page_id, f"“{DOCUMENTS[page_id].title}” was removed")
    document = _document(space, page_id)
    held, off = simulation(), simulation().why_off("confluence")
    macros = [] if off else held.state.macros.get(page_id, [])
    editing = request.args.get("edit") == "1" and visitor().may_edit
    boot = {
        "context": context_of(document),
        "page": page_id,
        "editing": editing,
        "macros": [await _shown(document, macro) for macro in macros],
        "available": [_offered(place) for place in held.places(*MACROS)],
    }
    panels = [] if off else on_document(held.descriptor)
    return await show(
        "page.html", "confluence", boot, document=document, editing=editing, panels=panels, exports=EXPORTS
    )


@blueprint.get(f"{_PAGE}/export/<mode>")
async def export(space: str, page_id: str, mode: str) -> str:
    """The page as it would be exported: macros by what the add-on renders for it, fetched by this server."""
    document = _document(space, page_id)
    if mode not in EXPORTS:
        abort(404)
    held = simulation()
    macros = [] if held.why_off("confluence") else held.state.macros.get(page_id, [])
    rendered = [await _exported(document, macro, mode) for macro in macros]
    return await show("export.html", "confluence", document=document, rendered=rendered, exports=EXPORTS, mode=mode)


@blueprint.get("/plugins/servlet/ac/<addon_key>/<module_key>")
async def module(addon_key: str, module_key: str) -> ResponseReturnValue:
    """One of the add-on's full pages."""
    places = simulation().places(*CONFLUENCE_PAGES, "dialogs")
    shown = next((place for place in places if place.key == module_key), None)
    if shown is None or addon_key != simulation().descriptor["key"]:
        return abort(404)
    context = {"space.key": SPACE["key"], "space.id": SPACE["id"]}
    return await show("module.html", "confluence", {"context": context}, place=shown)


@blueprint.put("/sandbox/pages/<page_id>/macros")
async def put_macro(page_id: str) -> ResponseReturnValue:
    """Place a macro on the page, or change one; gives it as the page's script draws it."""
    _demand_account()
    document = _document(SPACE["key"], page_id)
    asked = await request.get_json()
    parameters = {str(name): str(value) for name, value in (asked.get("parameters") or {}).items() if value is not None}
    macro = Macro(str(asked.get("id") or fresh_id()), str(asked["key"]), parameters, str(asked.get("body") or ""))
    simulation().state.put(page_id, macro)
    return await _shown(document, macro)


@blueprint.delete("/sandbox/pages/<page_id>/macros/<macro_id>")
async def remove_macro(page_id: str, macro_id: str) -> ResponseReturnValue:
    """Take a macro off the page."""
    _demand_account()
    simulation().state.remove(page_id, macro_id)
    return "", 204


def context_of(document: Document, macro: Macro | None = None) -> dict[str, str]:
    """What a module on this page, or a macro on it, may ask for in its URL."""
    context = {
        "content.id": document.id,
        "content.type": "page",
        "content.version": "1",
        "page.id": document.id,
        "space.id": SPACE["id"],
        "space.key": SPACE["key"],
    }
    if macro is None:
        return context
    body = macro.body[:_LONGEST_BODY_IN_URL]
    truncated = "true" if len(macro.body) > len(body) else "false"
    return {**macro.parameters, **context, "macro.id": macro.id, "macro.body": body, "macro.truncated": truncated}


def _document(space: str, page_id: str) -> Document:
    document = DOCUMENTS.get(page_id)
    if document is None or space != SPACE["key"] or page_id in simulation().state.removed:
        abort(404)
    return document


def _demand_account() -> None:
    if not visitor().may_edit:
        abort(Response('{"error": "you may not edit pages"}', 403, mimetype="application/json"))


def _offered(place: Place) -> dict[str, Any]:
    """A macro as the macro browser lists it."""
    module = place.module
    return {
        "key": place.key,
        "name": place.name,
        "icon": place.icon,
        "description": (module.get("description") or {}).get("value", ""),
        "editor": module.get("editor"),
        "parameters": module.get("parameters", []),
    }


async def _shown(document: Document, macro: Macro) -> dict[str, Any]:
    """A macro as the page's script draws it: a frame, or for a static macro what the add-on answered."""
    place = _place(macro)
    shown = {**macro.as_json(), "context": context_of(document, macro), "name": place.name if place else macro.key}
    if place is None:
        return {**shown, "html": "<p>The add-on does not offer this macro any more.</p>"}
    if place.type == "staticContentMacros":
        return {**shown, "html": await _fetched(document, macro, None)}
    return shown


async def _exported(document: Document, macro: Macro, mode: str) -> dict[str, str]:
    place = _place(macro)
    if place is None:
        return {"name": macro.key, "note": "The add-on does not offer this macro any more."}
    if place.type == "staticContentMacros":
        return {"name": place.name, "html": await _fetched(document, macro, None)}
    modes = place.module.get("renderModes") or {}
    chosen = next((name for name in (mode, "default") if name in modes), None)
    if chosen is None:
        return {"name": place.name, "note": f"The macro declares no 'renderModes.{mode}'; the product leaves it out."}
    return {"name": place.name, "html": await _fetched(document, macro, f"renderModes.{chosen}")}


async def _fetched(document: Document, macro: Macro, part: str | None) -> str:
    response = await simulation().render(visitor(), macro.key, part, Variables(context_of(document, macro)))
    if response.status_code != 200:
        return f"<p>The add-on answered {response.status_code}.</p>"
    return clean(response.text)


def _place(macro: Macro) -> Place | None:
    return next((place for place in simulation().places(*MACROS) if place.key == macro.key), None)
