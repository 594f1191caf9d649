"""Confluence's screens: pages with macros, the editor, exports, and the add-on's full pages."""

from __future__ import annotations

from typing import Any

from addonkit.testing import Variables
from quart import Blueprint, Response, abort, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation, current_visitor
from addonkit_sandbox.markup import clean
from addonkit_sandbox.places import CONFLUENCE_PAGES, MACROS, Place, page_panels
from addonkit_sandbox.removal import render_removed
from addonkit_sandbox.sample import DOCUMENTS, SPACE, Document
from addonkit_sandbox.screens import render_screen
from addonkit_sandbox.simulation import new_macro_id
from addonkit_sandbox.state import Macro

blueprint = Blueprint("confluence", __name__, url_prefix="/wiki")
EXPORTS = {"pdf": "PDF", "word": "Word", "email": "Email"}
_PAGE = "/spaces/<space>/pages/<page_id>"
_MAX_BODY_IN_URL = 128


@blueprint.get(_PAGE)
async def page(space: str, page_id: str) -> ResponseReturnValue:
    """Render a page; with ``?edit=1`` in the editor."""
    simulation = current_simulation()
    if space == SPACE["key"] and page_id in DOCUMENTS and page_id in simulation.state.removed:
        return await render_removed("confluence", page_id, f"“{DOCUMENTS[page_id].title}” was removed")
    document = _document_or_404(space, page_id)
    off = simulation.off_reason("confluence")
    macros = [] if off else simulation.state.macros.get(page_id, [])
    editing = request.args.get("edit") == "1" and current_visitor().may_edit
    boot = {
        "context": context_of(document),
        "page": page_id,
        "editing": editing,
        "macros": [await _macro_values(document, macro) for macro in macros],
        "available": [_available_macro(place) for place in simulation.places(*MACROS)],
    }
    panels = [] if off else page_panels(simulation.descriptor)
    return await render_screen(
        "page.html", "confluence", boot, document=document, editing=editing, panels=panels, exports=EXPORTS
    )


@blueprint.get(f"{_PAGE}/export/<mode>")
async def export(space: str, page_id: str, mode: str) -> str:
    """Render an export of a page, with the static output of its macros fetched from the add-on by the server."""
    document = _document_or_404(space, page_id)
    if mode not in EXPORTS:
        abort(404)
    simulation = current_simulation()
    macros = [] if simulation.off_reason("confluence") else simulation.state.macros.get(page_id, [])
    rendered = [await _exported_macro(document, macro, mode) for macro in macros]
    return await render_screen(
        "export.html", "confluence", document=document, rendered=rendered, exports=EXPORTS, mode=mode
    )


@blueprint.get("/plugins/servlet/ac/<addon_key>/<module_key>")
async def module(addon_key: str, module_key: str) -> ResponseReturnValue:
    """Render a full page of the add-on."""
    simulation = current_simulation()
    place = next((place for place in simulation.places(*CONFLUENCE_PAGES, "dialogs") if place.key == module_key), None)
    if place is None or addon_key != simulation.descriptor["key"]:
        return abort(404)
    context = {"space.key": SPACE["key"], "space.id": SPACE["id"]}
    return await render_screen("module.html", "confluence", {"context": context}, place=place)


@blueprint.put("/sandbox/pages/<page_id>/macros")
async def put_macro(page_id: str) -> ResponseReturnValue:
    """Insert a macro into a page or change it; respond with the values that the page's script needs."""
    _require_editor()
    document = _document_or_404(SPACE["key"], page_id)
    sent = await request.get_json()
    parameters = {str(name): str(value) for name, value in (sent.get("parameters") or {}).items() if value is not None}
    macro = Macro(str(sent.get("id") or new_macro_id()), str(sent["key"]), parameters, str(sent.get("body") or ""))
    current_simulation().state.put_macro(page_id, macro)
    return await _macro_values(document, macro)


@blueprint.delete("/sandbox/pages/<page_id>/macros/<macro_id>")
async def remove_macro(page_id: str, macro_id: str) -> ResponseReturnValue:
    """Remove a macro from a page."""
    _require_editor()
    current_simulation().state.remove_macro(page_id, macro_id)
    return "", 204


def context_of(document: Document, macro: Macro | None = None) -> dict[str, str]:
    """Return the host variables of a page, or of a macro on it."""
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
    body = macro.body[:_MAX_BODY_IN_URL]
    truncated = "true" if len(macro.body) > len(body) else "false"
    return {**macro.parameters, **context, "macro.id": macro.id, "macro.body": body, "macro.truncated": truncated}


def _document_or_404(space: str, page_id: str) -> Document:
    document = DOCUMENTS.get(page_id)
    if document is None or space != SPACE["key"] or page_id in current_simulation().state.removed:
        abort(404)
    return document


def _require_editor() -> None:
    if not current_visitor().may_edit:
        abort(Response('{"error": "you do not have permission to edit pages"}', 403, mimetype="application/json"))


def _available_macro(place: Place) -> dict[str, Any]:
    """Return what the macro browser shows of a macro."""
    module = place.module
    return {
        "key": place.key,
        "name": place.name,
        "icon": place.icon,
        "description": (module.get("description") or {}).get("value", ""),
        "editor": module.get("editor"),
        "parameters": module.get("parameters", []),
    }


async def _macro_values(document: Document, macro: Macro) -> dict[str, Any]:
    """Return what the page's script needs to draw a macro: a frame, or the HTML of a static macro."""
    place = _place(macro)
    values = {**macro.as_json(), "context": context_of(document, macro), "name": place.name if place else macro.key}
    if place is None:
        return {**values, "html": "<p>The add-on no longer provides this macro.</p>"}
    if place.type == "staticContentMacros":
        return {**values, "html": await _static_output(document, macro, None)}
    return values


async def _exported_macro(document: Document, macro: Macro, mode: str) -> dict[str, str]:
    place = _place(macro)
    if place is None:
        return {"name": macro.key, "note": "The add-on no longer provides this macro."}
    if place.type == "staticContentMacros":
        return {"name": place.name, "html": await _static_output(document, macro, None)}
    modes = place.module.get("renderModes") or {}
    render_mode = next((name for name in (mode, "default") if name in modes), None)
    if render_mode is None:
        return {
            "name": place.name,
            "note": f"The macro does not declare 'renderModes.{mode}', so the product omits it.",
        }
    return {"name": place.name, "html": await _static_output(document, macro, f"renderModes.{render_mode}")}


async def _static_output(document: Document, macro: Macro, part: str | None) -> str:
    response = await current_simulation().render(
        current_visitor(), macro.key, part, Variables(context_of(document, macro))
    )
    if response.status_code != 200:
        return f"<p>The add-on responded with status {response.status_code}.</p>"
    return clean(response.text)


def _place(macro: Macro) -> Place | None:
    return next((place for place in current_simulation().places(*MACROS) if place.key == macro.key), None)
