"""One simulated site of one product: it knows its secret and signs what the product would sign."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from addonkit.context import Product
from addonkit.protocol.canonical import CONTEXT_QSH, query_hash
from addonkit.protocol.tokens import sign
from addonkit.testing.keys import InstallKeys
from addonkit.testing.modules import Descriptor, module_of, url_of
from addonkit.testing.variables import Variables

LifecycleName = Literal["installed", "uninstalled", "enabled", "disabled"]
Request = tuple[str, str, dict[str, str], bytes]
"""Method, URL, headers and body."""

_PAGE_LIFE_S = 180
_CONTEXT_LIFE_S = 900
_CONNECT_VERSION = "1001.0.0-SNAPSHOT"


def fresh_secret() -> str:
    """A shared secret of 64 characters."""
    return secrets.token_urlsafe(48)


@dataclass(slots=True)
class Site:
    """A site of Jira or Confluence that may install add-ons.

    Attributes:
        keys: What signs installations.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Root of its REST API, without a trailing slash; Confluence's ends in ``/wiki``.
        display_url: Where its users see it.
        client_key: Its name towards add-ons.
        shared_secret: That of the latest ``installed`` that was made.
        oauth_client_id: What the add-on goes by towards the token server.
    """

    keys: InstallKeys
    product: Product
    base_url: str
    display_url: str = ""
    client_key: str = field(default_factory=lambda: str(uuid.uuid4()))
    shared_secret: str = field(default_factory=fresh_secret, repr=False)
    oauth_client_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.display_url = self.display_url or self.base_url

    @property
    def origin(self) -> str:
        """Scheme, host and port: what frames on it exchange messages with."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def context_path(self) -> str:
        """The path of its base URL: empty or ``/wiki``."""
        return urlsplit(self.base_url).path

    def page_url(
        self,
        descriptor: Descriptor,
        module_key: str,
        part: str | None = None,
        variables: Variables | None = None,
        account: str | None = None,
        licence: str | None = None,
        issued_at: int | None = None,
    ) -> str:
        """The URL that a user's browser is sent to, signed last; that of a cacheable module is left as declared.

        Args:
            descriptor: The add-on's, as served.
            module_key: The module.
            part: Another page of the module's: ``"editor"``, ``"renderModes.pdf"``.
            variables: What the user looks at.
            account: The user; None is an anonymous visitor.
            licence: ``"active"`` or ``"none"``; told to add-ons that enable licensing alone.
            issued_at: Unix time in seconds; now by default.
        """
        _, module = module_of(descriptor, module_key)
        url = url_of(module, part)
        if module.get("cacheable"):
            return str(descriptor["baseUrl"]) + url
        path, _, query = (variables or Variables()).fill(url).partition("?")
        query = "&".join(filter(None, [query, self._standard(descriptor, module_key, licence)]))
        claims = {"qsh": query_hash("GET", path, query), "context": {}}
        return f"{descriptor['baseUrl']}{path}?{query}&jwt={self._sign(claims, _PAGE_LIFE_S, account, issued_at)}"

    def context_token(
        self, account: str | None = None, context: Mapping[str, Any] | None = None, issued_at: int | None = None
    ) -> str:
        """What ``AP.context.getToken`` gives to a page of the add-on's.

        Args:
            account: The user; None is an anonymous visitor.
            context: The ``context`` claim, such as ``Variables.context`` makes.
            issued_at: Unix time in seconds; now by default.
        """
        claims = {"qsh": CONTEXT_QSH, "context": dict(context or {})}
        return self._sign(claims, _CONTEXT_LIFE_S, account, issued_at)

    def lifecycle_request(self, descriptor: Descriptor, event: LifecycleName) -> Request:
        """The call that tells the add-on what became of it; each ``installed`` brings a new secret.

        Raises:
            AssertionError: The descriptor names no URL for the event.
        """
        path = descriptor.get("lifecycle", {}).get(event)
        if not path:
            raise AssertionError(f"the descriptor has no URL at 'lifecycle.{event}', so the product would not call it")
        if event == "installed":
            self.shared_secret = fresh_secret()
        token = self._lifecycle_token(descriptor, event, path)
        headers = {"authorization": f"JWT {token}", "content-type": "application/json"}
        return "POST", descriptor["baseUrl"] + path, headers, json.dumps(self._payload(descriptor, event)).encode()

    def webhook_request(
        self,
        descriptor: Descriptor,
        module: Mapping[str, Any],
        body: Mapping[str, Any] | bytes,
        variables: Variables | None = None,
        *,
        identifier: str | None = None,
        retry: int = 0,
        flow: str = "Primary",
        issued_at: int | None = None,
    ) -> Request:
        """The call that tells the add-on of an event; a retry is signed anew.

        The webhook's ``filter`` and ``propertyKeys`` are not looked at.

        Args:
            descriptor: The add-on's, as served.
            module: The webhook, as it stands there.
            body: What the product tells; left out where the webhook says ``excludeBody``.
            variables: What fills the webhook's URL; by default what the body tells.
            identifier: The product's name for the delivery, the same on its retries; a fresh one by default.
            retry: How often it was tried before.
            flow: ``Primary``, or ``Secondary`` for what is sent in bulk.
            issued_at: Unix time in seconds; now by default.
        """
        if variables is None:
            variables = Variables() if isinstance(body, bytes) else Variables.of_body(body)
        url = variables.fill(url_of(module))
        path, _, query = url.partition("?")
        token = self._sign({"qsh": query_hash("POST", path, query)}, _PAGE_LIFE_S, None, issued_at)
        headers = {
            "authorization": f"JWT {token}",
            "content-type": "application/json",
            "x-atlassian-webhook-identifier": identifier or str(uuid.uuid4()),
            **({"x-atlassian-webhook-retry": str(retry)} if retry else {}),
            "x-atlassian-webhook-flow": flow,
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return "POST", descriptor["baseUrl"] + url, headers, b"" if module.get("excludeBody") else content

    def _standard(self, descriptor: Descriptor, module_key: str, licence: str | None) -> str:
        key = descriptor["key"]
        parameters = {
            "xdm_e": self.origin,
            "xdm_c": f"channel-{key}__{module_key}",
            "cp": self.context_path,
            "xdm_deprecated_addon_key_do_not_use": key,
        }
        if licence and descriptor.get("enableLicensing"):
            parameters["lic"] = licence
        return urlencode({**parameters, "cv": _CONNECT_VERSION})

    def _sign(self, claims: Mapping[str, Any], life_s: int, account: str | None, issued_at: int | None) -> str:
        subject = {} if account is None else {"sub": account}
        return sign({**self._times(life_s, issued_at), **subject, **claims}, self.shared_secret.encode())

    def _times(self, life_s: int, issued_at: int | None = None) -> dict[str, Any]:
        now = int(time.time()) if issued_at is None else issued_at
        return {"iss": self.client_key, "iat": now, "exp": now + life_s}

    def _lifecycle_token(self, descriptor: Descriptor, event: LifecycleName, url: str) -> str:
        path, _, query = url.partition("?")
        # two calls of one second are two tokens, or the second would be taken for a replay of the first
        claims = {**self._times(_PAGE_LIFE_S), "jti": str(uuid.uuid4()), "qsh": query_hash("POST", path, query)}
        if event in ("installed", "uninstalled"):
            return self.keys.sign({**claims, "aud": [descriptor["baseUrl"]]})
        return sign(claims, self.shared_secret.encode())

    def _payload(self, descriptor: Descriptor, event: LifecycleName) -> dict[str, str]:
        secret = (
            {"sharedSecret": self.shared_secret, "oauthClientId": self.oauth_client_id} if event == "installed" else {}
        )
        return {
            "key": descriptor["key"],
            "clientKey": self.client_key,
            **secret,
            "baseUrl": self.base_url,
            "displayUrl": self.display_url,
            "productType": self.product,
            "description": "Simulated site",
            "serverVersion": "1001.0",
            "pluginsVersion": "1001.0",
            "eventType": event,
        }
