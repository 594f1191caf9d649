"""The web application of the simulated host: its blueprints, and the checks and headers of every request."""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Quart, Response, abort, redirect, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox import confluence, frames, jira, library, removal, rest, switches, users
from addonkit_sandbox.current import EXTENSION_KEY, SAFE_METHODS, current_simulation, is_server_request
from addonkit_sandbox.library import file_in, file_response
from addonkit_sandbox.screens import render_not_found
from addonkit_sandbox.simulation import Simulation

BLUEPRINTS = (
    *(confluence.blueprint, frames.blueprint, jira.blueprint, library.blueprint, removal.blueprint),
    *(rest.blueprint, rest.tokens, switches.blueprint, users.blueprint),
)


class SandboxApp(Quart):
    """Quart that sends static files in one piece, because a streamed file stays open if the browser leaves midway."""

    async def send_static_file(self, filename: str) -> Response:
        """Respond with a file of the static folder."""
        path = file_in(str(self.static_folder), filename)
        if path is None:
            abort(404)
        return file_response(path)


def create_web(simulation: Simulation) -> Quart:
    """Create the application that serves the simulated products at the simulation's origin."""
    app = SandboxApp("addonkit_sandbox", static_url_path="/sandbox/static")
    app.extensions[EXTENSION_KEY] = simulation
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.register_error_handler(404, render_not_found)
    app.before_request(refuse_foreign_requests)
    app.after_request(add_security_headers)
    return app


async def refuse_foreign_requests() -> ResponseReturnValue | None:
    """Refuse requests to other host names, and changes requested by pages of other origins.

    Any page in the user's browser can send requests to the loopback interface; only the sandbox's own pages may change
    something.
    """
    own = urlsplit(current_simulation().origin)
    if request.host != own.netloc:
        if request.method in SAFE_METHODS and request.host == f"localhost:{own.port}":
            return redirect(current_simulation().origin + request.full_path.removesuffix("?"))
        return f"this is '{own.netloc}', not '{request.host}'", 421
    if is_server_request(request):
        return None
    if request.method not in SAFE_METHODS and request.headers.get("Origin") != current_simulation().origin:
        return f"only pages of '{current_simulation().origin}' may change something here", 403
    return None


async def add_security_headers(response: Response) -> Response:
    """Allow the sandbox's scripts and styles and the add-on's frames and icons, and nothing else."""
    addon = current_simulation().addon_origin
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'self'; img-src 'self' {addon} data:; frame-src {addon}; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
