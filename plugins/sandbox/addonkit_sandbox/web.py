"""The simulated host's web application: what all its pages share, and the wall around them."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from quart import Quart, Request, Response, abort, current_app, redirect, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.security import safe_join

from addonkit_sandbox.places import CONFLUENCE_PAGES, JIRA_PAGES
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, PROJECT, SPACE, USERS
from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.visitor import Visitor

_SAFE = frozenset({"GET", "HEAD"})
_KEY = "addonkit-sandbox"
_REST = ("/rest/", "/wiki/rest/", "/wiki/api/")


class Web(Quart):
    """Quart, but files are sent whole: one that is sent in pieces stays open when the browser leaves midway."""

    async def send_static_file(self, filename: str) -> Response:
        """A file of the static folder."""
        path = _file_in(str(self.static_folder), filename)
        if path is None:
            abort(404)
        return whole_file(path)


def _file_in(folder: str, name: str) -> Path | None:
    path = safe_join(folder, name)
    return Path(path) if path is not None and Path(path).is_file() else None


def whole_file(path: Path) -> Response:
    """A file of ours as an answer."""
    return Response(path.read_bytes(), content_type=guess_type(path.name)[0] or "application/octet-stream")


def create_web(simulation: Simulation) -> Quart:
    """The application that serves the simulated products under the simulation's origin."""
    from addonkit_sandbox import confluence, frames, jira, library, people, removal, rest, switches

    web = Web("addonkit_sandbox", static_url_path="/sandbox/static")
    web.extensions[_KEY] = simulation
    web.jinja_env.trim_blocks = web.jinja_env.lstrip_blocks = True
    for part in (confluence, frames, jira, library, people, removal, rest, switches):
        web.register_blueprint(part.blueprint)
    web.register_blueprint(rest.tokens)
    web.register_error_handler(404, missing)
    web.before_request(refuse_foreigners)
    web.after_request(harden)
    return web


def simulation() -> Simulation:
    """The simulation that the current request is for."""
    return cast("Simulation", current_app.extensions[_KEY])


def visitor() -> Visitor:
    """Who sends the current request."""
    return Visitor.of(request.cookies)


def product_of(path: str) -> str:
    """The product that an address lies in."""
    return "confluence" if path.startswith("/wiki/") else "jira"


async def missing(_: Exception) -> ResponseReturnValue:
    """What is answered where nothing is: a screen to whoever looks, a sentence to scripts."""
    if request.method not in _SAFE or not simulation().descriptor:
        return {"error": f"there is nothing at '{request.path}'"}, 404
    return await show("missing.html", product_of(request.path)), 404


async def refuse_foreigners() -> ResponseReturnValue | None:
    """Refuse other hosts' names, and changes that another site's page asks for.

    Any page in the user's browser can reach the loopback interface; only our own may change something.
    """
    own = urlsplit(simulation().origin)
    if request.host != own.netloc:
        if request.method in _SAFE and request.host == f"localhost:{own.port}":
            return redirect(simulation().origin + request.full_path.removesuffix("?"))
        return f"this is '{own.netloc}', not '{request.host}'", 421
    if is_for_servers(request):
        return None
    if request.method not in _SAFE and request.headers.get("Origin") != simulation().origin:
        return f"only pages of '{simulation().origin}' may change something here", 403
    return None


def is_for_servers(asked: Request) -> bool:
    """Whether a request is one that no page can send: a signed call, or one for the token server.

    Whether the signature is good is for those to see.
    """
    if asked.path == "/oauth2/token":
        return True
    return asked.path.startswith(_REST) and "Authorization" in asked.headers and "Origin" not in asked.headers


async def harden(response: Response) -> Response:
    """Allow our own scripts and styles, the add-on's frames and icons, and nothing else."""
    addon = simulation().addon_origin
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'self'; img-src 'self' {addon} data:; frame-src {addon}; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def show(template: str, product: str, boot: dict[str, Any] | None = None, **values: Any) -> str:
    """A screen of the simulated products.

    Args:
        template: Its template.
        product: ``"jira"`` or ``"confluence"``.
        boot: What its script wants to know besides what all screens tell.
        values: What its template wants.
    """
    held, site = simulation(), simulation().state.sites[product]
    if not held.descriptor:
        abort(503, "the add-on is not installed yet; reload in a moment")
    who, off = visitor(), held.why_off(product)
    told = {
        "product": product,
        "contextPath": site.context_path,
        "addonKey": held.descriptor["key"],
        "context": {},
        **(boot or {}),
        "user": _told_user(who),
    }
    return await render_template(
        template,
        boot=told,
        product=product,
        visitor=who,
        off=off,
        users=USERS,
        project=PROJECT,
        space=SPACE,
        issues=ISSUES.values(),
        documents=DOCUMENTS.values(),
        removed=held.state.removed,
        descriptor=held.descriptor,
        pages=[] if off else held.places(*(JIRA_PAGES if product == "jira" else CONFLUENCE_PAGES)),
        **values,
    )


def _told_user(who: Visitor) -> dict[str, str | None]:
    user = who.user
    if user is None:
        return {"accountId": None, "name": "Anonymous", "locale": "en-GB"}
    return {"accountId": user.account_id, "name": user.name, "locale": user.locale}
