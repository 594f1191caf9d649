"""A simulated site of Jira or Confluence: holds its shared secret and signs the product's requests."""

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
from addonkit.testing.modules import Descriptor, declares, module_of, url_of
from addonkit.testing.variables import Variables

LifecycleName = Literal["installed", "uninstalled", "enabled", "disabled"]
Request = tuple[str, str, dict[str, str], bytes]
"""Method, URL, headers and body."""

_PAGE_LIFETIME_S = 180
_CONTEXT_LIFETIME_S = 900
_CONNECT_VERSION = "1001.0.0-SNAPSHOT"


def fresh_secret() -> str:
    """Return a new shared secret of 64 characters."""
    return secrets.token_urlsafe(48)


@dataclass(slots=True)
class Site:
    """A simulated Jira or Confluence site.

    Attributes:
        keys: Install keys that sign ``installed`` and ``uninstalled``.
        product: ``"jira"`` or ``"confluence"``.
        base_url: Base URL of its REST API, without a trailing slash; Confluence's ends in ``/wiki``.
        display_url: URL that users see; the base URL by default.
        client_key: The host's identifier of the installation.
        shared_secret: The shared secret of the latest ``installed`` request.
        oauth_client_id: The add-on's client id at the token server.
        installation_id: The id of the installation; None sends none, as hosts do for add-ons without a Forge manifest.
        help_center_url: URL of a help center with a domain of its own; None sends none.
        cloud_id: The id of the site, which is in no request; the same by default for both products at one origin.
    """

    keys: InstallKeys
    product: Product
    base_url: str
    display_url: str = ""
    client_key: str = field(default_factory=lambda: str(uuid.uuid4()))
    shared_secret: str = field(default_factory=fresh_secret, repr=False)
    oauth_client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    installation_id: str | None = None
    help_center_url: str | None = None
    cloud_id: str = ""

    def __post_init__(self) -> None:
        self.display_url = self.display_url or self.base_url
        self.cloud_id = self.cloud_id or str(uuid.uuid5(uuid.NAMESPACE_URL, self.origin))

    @property
    def origin(self) -> str:
        """Scheme, host and port of the base URL: the origin of the page around the add-on's frames."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def context_path(self) -> str:
        """Path of the base URL: empty or ``/wiki``."""
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
        """Return the signed URL of a module's page; the URL of a cacheable module is returned as declared.

        Args:
            descriptor: The add-on's descriptor, as served.
            module_key: The module's key.
            part: Another page of the module: ``"editor"``, ``"renderModes.pdf"``.
            variables: Values of the host variables.
            account: Account id of the user; None for an anonymous visitor.
            licence: ``"active"`` or ``"none"``; sent only if the descriptor enables licensing.
            issued_at: Unix time in seconds; now by default.
        """
        _, module = module_of(descriptor, module_key)
        url, hash_, fragment = url_of(module, part).partition("#")
        if module.get("cacheable"):
            return f"{descriptor['baseUrl']}{url}{hash_}{fragment}"
        path, _, query = (variables or Variables()).fill(url).partition("?")
        query = "&".join(filter(None, [query, self._standard_query(descriptor, module_key, licence)]))
        claims = {"qsh": query_hash("GET", path, query), "context": {}}
        token = self._sign(claims, _PAGE_LIFETIME_S, account, issued_at)
        return f"{descriptor['baseUrl']}{path}?{query}&jwt={token}{hash_}{fragment}"

    def context_token(
        self, account: str | None = None, context: Mapping[str, Any] | None = None, issued_at: int | None = None
    ) -> str:
        """Return a context token, as ``AP.context.getToken`` gives it to a page of the add-on.

        Args:
            account: Account id of the user; None for an anonymous visitor.
            context: The ``context`` claim, for example from ``Variables.context``.
            issued_at: Unix time in seconds; now by default.
        """
        claims = {"qsh": CONTEXT_QSH, "context": dict(context or {})}
        return self._sign(claims, _CONTEXT_LIFETIME_S, account, issued_at)

    def lifecycle_request(self, descriptor: Descriptor, event: LifecycleName, issued_at: int | None = None) -> Request:
        """Return a signed lifecycle request; each ``installed`` generates a new shared secret.

        Args:
            descriptor: The add-on's descriptor, as served.
            event: The event.
            issued_at: Unix time in seconds; now by default.

        Raises:
            AssertionError: The descriptor has no URL for the event.
        """
        path = descriptor.get("lifecycle", {}).get(event)
        if not declares(descriptor, event):
            raise AssertionError(f"the descriptor has no URL at 'lifecycle.{event}', so the product would not call it")
        if event == "installed":
            self.shared_secret = fresh_secret()
        token = self._lifecycle_token(descriptor, event, path, issued_at)
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
        """Return the signed request that delivers a webhook; each retry is signed anew.

        The webhook's ``filter`` and ``propertyKeys`` are ignored.

        Args:
            descriptor: The add-on's descriptor, as served.
            module: The webhook as declared in the descriptor.
            body: The body; omitted if the webhook declares ``excludeBody``.
            variables: Values for the webhook's URL; by default those in the body.
            identifier: The product's id of the delivery, the same for retries; a new one by default.
            retry: Number of earlier deliveries.
            flow: ``Primary``, or ``Secondary`` for bulk operations.
            issued_at: Unix time in seconds; now by default.
        """
        if variables is None:
            variables = Variables() if isinstance(body, bytes) else Variables.from_body(body)
        url = variables.fill(url_of(module))
        path, _, query = url.partition("?")
        token = self._sign({"qsh": query_hash("POST", path, query)}, _PAGE_LIFETIME_S, None, issued_at)
        headers = {
            "authorization": f"JWT {token}",
            "content-type": "application/json",
            "x-atlassian-webhook-identifier": identifier or str(uuid.uuid4()),
            **({"x-atlassian-webhook-retry": str(retry)} if retry else {}),
            "x-atlassian-webhook-flow": flow,
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return "POST", descriptor["baseUrl"] + url, headers, b"" if module.get("excludeBody") else content

    def _standard_query(self, descriptor: Descriptor, module_key: str, licence: str | None) -> str:
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

    def _sign(self, claims: Mapping[str, Any], lifetime_s: int, account: str | None, issued_at: int | None) -> str:
        subject = {} if account is None else {"sub": account}
        return sign({**self._issuer_and_times(lifetime_s, issued_at), **subject, **claims}, self.shared_secret.encode())

    def _issuer_and_times(self, lifetime_s: int, issued_at: int | None = None) -> dict[str, Any]:
        now = int(time.time()) if issued_at is None else issued_at
        return {"iss": self.client_key, "iat": now, "exp": now + lifetime_s}

    def _lifecycle_token(
        self, descriptor: Descriptor, event: LifecycleName, url: str, issued_at: int | None = None
    ) -> str:
        path, _, query = url.partition("?")
        # Without the id, two tokens of the same second would be equal, and replay protection would reject the second.
        claims = {
            **self._issuer_and_times(_PAGE_LIFETIME_S, issued_at),
            "jti": str(uuid.uuid4()),
            "qsh": query_hash("POST", path, query),
        }
        if event in ("installed", "uninstalled"):
            return self.keys.sign({**claims, "aud": [descriptor["baseUrl"]]})
        return sign(claims, self.shared_secret.encode())

    def _payload(self, descriptor: Descriptor, event: LifecycleName) -> dict[str, str]:
        secret = (
            {"sharedSecret": self.shared_secret, "oauthClientId": self.oauth_client_id} if event == "installed" else {}
        )
        installation = {"installationId": self.installation_id} if self.installation_id else {}
        help_center = {"displayUrlServicedeskHelpCenter": self.help_center_url} if self.help_center_url else {}
        return {
            "key": descriptor["key"],
            "clientKey": self.client_key,
            **secret,
            **installation,
            **help_center,
            "baseUrl": self.base_url,
            "displayUrl": self.display_url,
            "productType": self.product,
            "description": "Simulated site",
            "serverVersion": "1001.0",
            "pluginsVersion": "1001.0",
            "eventType": event,
        }
