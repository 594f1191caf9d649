"""A page of the add-on in a user's browser, with the requests that its script can make."""

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
_TAG = re.compile(r"<[^>]*>")
SESSION_META = "addonkit-session"
RENEWAL_PATH = "/addonkit/session"


@dataclass(slots=True)
class Page:
    """The add-on's response to an opened module.

    Attributes:
        response: The HTTP response.
        url: The requested URL, token included.
        site: The site where the module was opened.
        account: The account id of the user; None for an anonymous visitor.
        context: The ``context`` claim of the page's context tokens.
        base_url: The add-on's base URL.
        client: The HTTP client for further requests.
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
        """The response's status code."""
        return self.response.status_code

    @property
    def text(self) -> str:
        """The response's body as text."""
        return self.response.text

    @property
    def headers(self) -> httpx2.Headers:
        """The response's headers."""
        return self.response.headers

    @property
    def prefix(self) -> str:
        """The URL prefix of the routes of the page's plugin, ending in a slash."""
        path = urlsplit(self.url).path.removeprefix(urlsplit(self.base_url).path)
        return f"{self.base_url}/{path.split('/')[1]}/"

    @property
    def refusal(self) -> str:
        """What the page says, without markup; on loopback, a refusal gives its reason."""
        return html.unescape(" ".join(_TAG.sub(" ", self.response.text.partition("</head>")[2] or self.text).split()))

    def json(self) -> Any:
        """The response's body, decoded from JSON."""
        return self.response.json()

    def meta(self, name: str) -> str | None:
        """Return the content of the page's meta tag with this name."""
        for tag in _META.findall(self.response.text):
            attributes = {found[0]: html.unescape(found[1] or found[2]) for found in _ATTRIBUTE.findall(tag)}
            if attributes.get("name") == name:
                return attributes.get("content")
        return None

    async def fetch(self, path: str, method: str = "GET", json: Any = None) -> httpx2.Response:
        """Send a request to a route of the page's plugin, with the page's session, as ``addonkit.fetch`` does.

        Args:
            path: Path relative to the plugin's prefix, such as ``"items/3"``.
            method: The HTTP method.
            json: The body as JSON values; None sends no body.

        Raises:
            AssertionError: The page has no session.
        """
        headers = {"authorization": f"Session {self._session_or_fail()}", "accept": "application/json"}
        body = {} if json is None else {"json": json}
        return await self.client.request(method, self.prefix + path, headers=headers, **body)

    async def renew(self) -> httpx2.Response:
        """Renew the page's session with a new context token.

        Raises:
            AssertionError: The page has no session.
        """
        token = self.site.context_token(self.account, self.context)
        headers = {"authorization": f"JWT {token}"}
        body = {"session": self._session_or_fail()}
        response = await self.client.post(self.base_url + RENEWAL_PATH, headers=headers, json=body)
        if response.is_success:
            self.session = response.json()["session"]
        return response

    def _session_or_fail(self) -> str:
        if self.session is None:
            path = urlsplit(self.url).path
            if self.response.is_error:
                raise AssertionError(f"the page at '{path}' was refused with {self.status}: {self.refusal}")
            raise AssertionError(
                f"the page at '{path}' ({self.status}) has no meta tag '{SESSION_META}'; "
                "put addonkit_head() into the head of its template"
            )
        return self.session
