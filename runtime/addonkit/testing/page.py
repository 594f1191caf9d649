"""A page of the add-on's as a user's browser holds it, and what the page's own script can ask of the add-on."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from addonkit.testing.site import Site

_META = re.compile(r"<meta\b[^>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
SESSION_META = "addonkit-session"
RENEWAL_PATH = "/addonkit/session"


@dataclass(slots=True)
class Page:
    """One answer of the add-on's to an opened module.

    Attributes:
        response: What came back.
        url: What was asked for, token included.
        site: Where it was opened.
        account: Who opened it; None is an anonymous visitor.
        context: The ``context`` claim of context tokens made on this page.
        base_url: The add-on's.
        client: What requests go through.
        session: The page's session token; None if the page has none.
    """

    response: httpx2.Response
    url: str
    site: Site
    account: str | None
    context: dict[str, Any]
    base_url: str
    client: httpx2.AsyncClient = field(repr=False)
    session: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.session = self.session or self.meta(SESSION_META)

    @property
    def status(self) -> int:
        """The answer's status code."""
        return self.response.status_code

    @property
    def text(self) -> str:
        """The answer's body."""
        return self.response.text

    @property
    def headers(self) -> httpx2.Headers:
        """The answer's headers."""
        return self.response.headers

    @property
    def prefix(self) -> str:
        """URL below which the routes of the page's plugin lie, ending in a slash."""
        path = urlsplit(self.url).path.removeprefix(urlsplit(self.base_url).path)
        return f"{self.base_url}/{path.split('/')[1]}/"

    def json(self) -> Any:
        """The answer's body, decoded."""
        return self.response.json()

    def meta(self, name: str) -> str | None:
        """Content of the page's meta tag of this name."""
        for tag in _META.findall(self.response.text):
            attributes = {found[0]: html.unescape(found[1] or found[2]) for found in _ATTRIBUTE.findall(tag)}
            if attributes.get("name") == name:
                return attributes.get("content")
        return None

    async def fetch(self, path: str, method: str = "GET", json: Any = None) -> httpx2.Response:
        """Ask a route of the page's plugin, as ``addonkit.fetch`` does.

        Args:
            path: Relative to the plugin's prefix, such as ``"items/3"``.
            method: The HTTP method.
            json: The body; None sends none.

        Raises:
            AssertionError: The page carries no session.
        """
        headers = {"authorization": f"Session {self._held_session()}", "accept": "application/json"}
        body = {} if json is None else {"json": json}
        return await self.client.request(method, self.prefix + path, headers=headers, **body)

    async def renew(self) -> httpx2.Response:
        """Trade the session and a fresh context token for a new session, which the page holds from then on.

        Raises:
            AssertionError: The page carries no session.
        """
        token = self.site.context_token(self.account, self.context)
        headers = {"authorization": f"JWT {token}"}
        body = {"session": self._held_session()}
        response = await self.client.post(self.base_url + RENEWAL_PATH, headers=headers, json=body)
        if response.is_success:
            self.session = response.json()["session"]
        return response

    def _held_session(self) -> str:
        if self.session is None:
            raise AssertionError(
                f"the page at '{urlsplit(self.url).path}' ({self.status}) has no meta tag '{SESSION_META}'; "
                "put addonkit_head() into the head of its template"
            )
        return self.session
