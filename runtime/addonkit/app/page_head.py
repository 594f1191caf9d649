"""The template function ``addonkit_head``: session, shared stylesheet, the host's JavaScript and addonkit.js."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from quart import request

from addonkit.context import Context, Proof
from addonkit.edge.response import SecurityHeaders
from addonkit.extension.assets import Assets
from addonkit.extension.handlers import inbound_of
from addonkit.protocol.sessions import SESSION_LIFETIME_S, Page, Sessions

SESSION = Markup('<meta name="addonkit-session" content="{}" data-expires-in="{}">')
HEAD = Markup(
    '<meta name="addonkit-base" content="{base}" data-plugin="{plugin}">\n'
    '<link rel="stylesheet" href="{base}{css}">\n'
    '<script src="{all_js}" data-options="{options}" defer></script>\n'
    '<script src="{base}{js}" defer></script>'
)


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
        context = inbound_of(request).context
        head = HEAD.format(
            base=request.root_path,
            plugin=request.blueprints[-1],
            css=self.assets.url("addonkit.css"),
            js=self.assets.url("addonkit.js"),
            all_js=self.security.script_of(context.tenant if context else None),
            options=options,
        )
        if not session or context is None or context.proof is not Proof.EXACT:
            return head
        return SESSION.format(self._session(context), SESSION_LIFETIME_S) + Markup("\n") + head

    def _session(self, context: Context) -> str:
        """Sign a session for the current request; only pages with ``addonkit_head`` need one."""
        page = Page(
            tenant_key=context.tenant.key,
            account_id=context.account_id,
            plugin=request.blueprints[-1],
            objects=context.objects,
            licence=context.licence,
            endpoint=request.endpoint,
        )
        return self.sessions.mint(page)
