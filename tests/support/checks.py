"""Deployments that are checked: on this machine, and under a public name over TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addonkit.app import Addon, Deployment
from addonkit.check import CheckContext, HttpProbe, Result
from addonkit.check.context import summarize
from addonkit.check.run import LOCAL, REMOTE

from tests.support.plugin_under_test import deployment
from tests.support.public_address import NAME, Authority, Plain, bind, public

KEY = f"first:{'A' * 43}="


async def run_local(name: str, made_of: Deployment) -> Result:
    """The result of one check."""
    return summarize(name, [result async for result in LOCAL[name](CheckContext(made_of))])


KEY_HOST = "keys.example.com"


REMOTE_KEY = f"test:{'A' * 43}="


Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class Outside:
    """An add-on with a public name, and a probe that trusts the authority of its certificate.

    Attributes:
        directory: Folder for files.
        authority: Makes the certificates.
        path: Path of the base URL.
        stripped: Whether the setting says that a proxy removes that path.
        names: Names in the certificate.
        days: Days until the certificate expires.
        oldest: Oldest TLS version that is accepted.
        key_host: Application that serves install keys.
        leeway_s: Clock leeway.
    """

    directory: Path
    authority: Authority
    path: str = ""
    stripped: bool = False
    names: tuple[str, ...] = (NAME,)
    days: float = 90
    oldest: ssl.TLSVersion | None = None
    key_host: Application = field(default_factory=lambda: Plain(404, {}))
    leeway_s: int = 30

    async def check(self, name: str, before: Callable[[Addon], Application] = lambda addon: addon) -> Result:
        """The result of one check.

        Args:
            name: Name of the check.
            before: Gives what is served: the add-on, a proxy in front of it, or another program.
        """
        async with self.case(before) as case:
            return summarize(name, [result async for result in REMOTE[name](case)])

    @asynccontextmanager
    async def case(self, before: Callable[[Addon], Application] = lambda addon: addon) -> AsyncIterator[CheckContext]:
        """The deployment that is checked, while it is served."""
        ours, keys = bind(), bind()
        made_of = self.deployment(ours.getsockname()[1], keys.getsockname()[1])
        certificate = self.authority.certify(*self.names, days=self.days)
        async with (
            public(before(Addon(made_of)), ours, certificate, self.oldest),
            public(self.key_host, keys, self.authority.certify(KEY_HOST)),
            HttpProbe(self.authority.trusting(), timeout_s=30) as probe,
        ):
            yield CheckContext(made_of, probe)

    def deployment(self, port: int, key_port: int, **addon: Any) -> Any:
        """The deployment at a port."""
        return deployment(
            self.directory,
            addon={"base_url": f"https://{NAME}:{port}{self.path}", **addon},
            host={
                "install_keys": [f"https://{KEY_HOST}:{key_port}"],
                "domains": ["*.atlassian.net"],
                "clock_leeway_s": self.leeway_s,
            },
            security={"encryption_keys": [REMOTE_KEY]},
            server={"base_path_stripped": self.stripped},
        )


def with_headers(**headers: str) -> Callable[[Addon], Application]:
    """A proxy that adds headers, or replaces them; an empty one is dropped."""

    def before(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    changed = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
                    kept = [(name, value) for name, value in message["headers"] if name not in changed]
                    message = {**message, "headers": [*kept, *((n, v) for n, v in changed.items() if v)]}
                await send(message)

            await addon(scope, receive, sending)

        return proxy

    return before


def with_path(change: Callable[[str], str]) -> Callable[[Addon], Application]:
    """A proxy that changes the path."""

    def before(addon: Addon) -> Application:
        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            path = change(scope["path"])
            await addon({**scope, "path": path, "raw_path": path.encode()}, receive, send)

        return proxy

    return before


def instead(status: int, body: bytes = b"", **headers: str) -> Callable[[Addon], Application]:
    """Another program in the add-on's place."""
    return lambda _: Plain(status, headers, body)
