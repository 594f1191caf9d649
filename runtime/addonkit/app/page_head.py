"""The template function ``addonkit_head``: session, shared stylesheet, the host's JavaScript and addonkit.js."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from markupsafe import Markup, escape
from quart.globals import request_ctx
from quart.wrappers import Request

from addonkit.context import Context, Proof
from addonkit.edge.response import SecurityHeaders
from addonkit.extension.assets import Assets
from addonkit.extension.handlers import inbound_of
from addonkit.protocol.sessions import SESSION_LIFETIME_S, Page, Sessions

BEFORE = Markup(
    '<meta name="addonkit-base" content="{base}" data-plugin="{plugin}">\n'
    '<link rel="stylesheet" href="{base}{css}">\n'
    '<script src="{all_js}" data-options="'
)
AFTER = Markup('" defer></script>\n<script src="{base}{js}" defer></script>')


class Tags(NamedTuple):
    """The tags of a plugin's pages, escaped, before and after the options for the host's JavaScript."""

    before: Markup
    after: Markup


@dataclass(frozen=True, slots=True)
class PageHead:
    """The template function ``addonkit_head``.

    Attributes:
        sessions: Signs the session of the page.
        security: Has the URL of the host's JavaScript.
        assets: The static files of the runtime.
    """

    sessions: Sessions
    security: SecurityHeaders
    assets: Assets

    def __call__(self, options: str = "", *, session: bool = True) -> Markup:
        """Return the tags for the ``<head>`` of a page.

        Args:
            options: Options for the host's JavaScript, such as ``"sizeToParent:true"``.
            session: Whether to add a session, which the page needs for requests to its plugin.
        """
        request = request_ctx.request
        plugin = request.blueprints[-1]
        context = inbound_of(request).context
        tags = _tags(
            request.root_path,
            plugin,
            self.assets.url("addonkit.css"),
            self.assets.url("addonkit.js"),
            self.security.script_of(context.tenant if context else None),
        )
        head = f"{tags.before}{escape(options)}{tags.after}"
        if session and context is not None and context.proof is Proof.EXACT:
            token = escape(self._session(request, plugin, context))
            head = f'<meta name="addonkit-session" content="{token}" data-expires-in="{SESSION_LIFETIME_S}">\n{head}'
        return Markup(head)  # noqa: S704 - every part is escaped

    def _session(self, request: Request, plugin: str, context: Context) -> str:
        """Sign a session for the current request; only pages with ``addonkit_head`` need one."""
        page = Page(
            tenant_key=context.tenant.key,
            account_id=context.account_id,
            plugin=plugin,
            objects=context.objects,
            licence=context.licence,
            endpoint=request.endpoint,
        )
        return self.sessions.mint(page)


@lru_cache(256)  # the same for all pages of a plugin; each simulated site has a script of its own
def _tags(base: str, plugin: str, css: str, js: str, all_js: str) -> Tags:
    """Fill in and escape what belongs to no user and no request."""
    return Tags(BEFORE.format(base=base, plugin=plugin, css=css, all_js=all_js), AFTER.format(base=base, js=js))
