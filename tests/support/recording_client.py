"""A client that makes valid and invalid requests of all kinds, and records every credential sent or received."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2
from addonkit.testing import Page, Site
from addonkit.testing.site import LifecycleName

from tests.support.fleet import CHECKLIST, ISSUE, WHERE, Fleet, Line

TOKEN = re.compile(r"[\w-]{10,}(?:\.|%2[eE])[\w-]{10,}(?:\.|%2[eE])[\w-]{10,}")
SHORTEST = 16


@dataclass
class RecordingClient:
    """A client of one process.

    Attributes:
        fleet: The fleet under test.
        line: The connection to the process.
        credentials: Every token and secret seen so far.
    """

    fleet: Fleet
    line: Line
    credentials: set[str] = field(default_factory=set)

    async def send(self, method: str, target: str, **options: object) -> httpx2.Response:
        """Send a request, and record everything that looks like a token in it and in the response."""
        request = self.line.client.build_request(method, target, **options)
        answer = await self.line.client.send(request)
        texts = (str(request.url), *request.headers.values(), request.content.decode(errors="replace"))
        for text in (*texts, answer.text, *answer.headers.values()):
            self.credentials.update(TOKEN.findall(text))
        return answer

    async def send_lifecycle(self, site: Site, event: LifecycleName, end: str = "") -> tuple[int, str]:
        """Send a lifecycle request with a suffix on its token; return the status and the token."""
        _, url, headers, body = site.lifecycle_request(self.fleet.descriptor, event)
        self.credentials.add(site.shared_secret)
        token = headers["authorization"].removeprefix("JWT ") + end
        path = "/" + url.partition("://")[2].partition("/")[2]
        answer = await self.send("POST", path, headers={**headers, "authorization": f"JWT {token}"}, content=body)
        return answer.status_code, token

    async def use_and_misuse(self) -> Site:
        """Install, use and misuse all credentials, change the secret, and use them again; return the site."""
        site = self.fleet.site()
        assert (await self.send_lifecycle(site, "installed"))[0] == 204
        await self.send_lifecycle(site, "enabled")
        for token in await self.use(site):
            await self.misuse(token)
        assert (await self.send_lifecycle(site, "installed"))[0] == 204
        await self.use(site)
        return site

    async def use(self, site: Site) -> tuple[str, str, str]:
        """Open pages, send their requests and renew the session; return the tokens."""
        url = self.fleet.path(site)
        answer = await self.send("GET", url)
        assert answer.status_code == 200
        page = Page(answer, str(answer.url), site, "acc-1", {}, "", self.line.client)
        session, context = str(page.session), site.context_token("acc-1", ISSUE.context(site.product))
        headers = {"authorization": f"Session {session}"}
        assert (await self.send("POST", "/issue_panel/items", headers=headers, json={"text": "x"})).status_code == 201
        renewal = {"headers": {"authorization": f"JWT {context}"}, "json": {"session": session}}
        assert (await self.send("POST", "/addonkit/session", **renewal)).status_code == 200
        await self.send("GET", self.fleet.path(site, WHERE))
        return url.partition("jwt=")[2], session, context

    async def misuse(self, token: str) -> None:
        """Send a credential to wrong places, unchanged and changed."""
        path = self.fleet.path(self.fleet.site(), CHECKLIST).partition("?")[0]
        escaped = token.replace(".", "%2E")
        for one in (token, f"{token}x", token[:-2], f"{token}.{token}", escaped):
            for target in (f"{path}?jwt={one}", f"{path}?token={one}", f"/{one}", f"/issue_panel/{one}/x", f"//{one}"):
                await self.send("GET", target, headers={"referer": f"http://localhost/?jwt={one}", "user-agent": one})
            for scheme in ("JWT", "Session", "Bearer", one):
                headers = {"authorization": f"{scheme} {one}", "x-request-id": one, "x-forwarded-for": one}
                await self.send("GET", "/issue_panel/items", headers=headers)
                await self.send("POST", "/addonkit/session", headers=headers, json={"session": one})
            await self.send("POST", "/issue_panel/items", headers={"cookie": f"jwt={one}"}, content=f'{{"text": {one}')

    async def use_and_uninstall(self) -> Site:
        """Install, use and uninstall; return the site."""
        site = self.fleet.site()
        await self.send_lifecycle(site, "installed")
        await self.use(site)
        await self.send_lifecycle(site, "disabled")
        await self.send_lifecycle(site, "uninstalled")
        return site

    async def send_invalid_lifecycle(self, site: Site) -> None:
        """Send what a host never sends: replays, invalid signatures, short secrets, malformed bodies."""
        for event in ("installed", "enabled", "disabled", "uninstalled"):
            secret = site.shared_secret
            assert (await self.send_lifecycle(site, event, end="x"))[0] == 401
            site.shared_secret = secret
        stranger = self.fleet.site()
        _, token = await self.send_lifecycle(stranger, "enabled")
        for body in (stranger.shared_secret.encode(), b'{"sharedSecret": "' + stranger.shared_secret.encode(), b"\xff"):
            await self.send("POST", "/lifecycle/installed", headers={"authorization": f"JWT {token}"}, content=body)
        site.client_key, client_key = "x" * 300, site.client_key
        await self.send_lifecycle(site, "installed")
        site.client_key, site.shared_secret = client_key, secret

    async def fail_handlers(self, site: Site) -> None:
        """Make handlers fail during requests with tokens."""
        headers = {"authorization": f"JWT {site.context_token('acc-1')}"}
        for target in ("/stranger_slow/fail", "/stranger_slow/wait?seconds=x", "/stranger_slow/word/x"):
            await self.send("GET", target, headers=headers)
        await self.send("POST", "/stranger_slow/size", headers=headers, content=site.shared_secret.encode())

    async def send_malformed_http(self) -> None:
        """Send tokens in malformed HTTP."""
        token = self.fleet.site().context_token("acc-1")
        self.credentials.add(token)
        host, _, port = str(self.line.client.base_url.netloc.decode()).rpartition(":")
        for request in (f"GET /?jwt={token}", f"{token} / HTTP/1.1", f"GET / HTTP/1.1\r\n{token}: x\x00\r\nhost"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{request}\r\n\r\n".encode())
            await reader.read(100)
            writer.close()
            await writer.wait_closed()


def needles(credentials: set[str], keys: Sequence[str], words: Sequence[str]) -> dict[bytes, str]:
    """Return all texts that must be found nowhere, and the kind of each.

    Args:
        credentials: Tokens and secrets of sites; the signature of a token is as sensitive as the token.
        keys: Encryption keys, ``<id>:<base64>``.
        words: Passwords.
    """
    pieces = {piece: "of a credential" for text in credentials for piece in (text, text.rpartition(".")[2])}
    bodies = {key.partition(":")[2]: "an encryption key" for key in keys}
    texts = {**pieces, **bodies, **dict.fromkeys(words, "a password")}
    found = {text.encode(): kind for text, kind in texts.items() if len(text) >= SHORTEST}
    found |= {base64.b64decode(body): "an encryption key, raw" for body in bodies}
    return found | {one.hex().encode(): f"{kind}, in hexadecimal" for one, kind in found.items()}
