"""The runtime's own call that asks a site whether it knows the add-on, in any state of the tenant.

Source: ``GET /rest/atlassian-connect/1/addons/{addonKey}`` needs no scope, and is answered 200 with the add-on's state
where it is installed.
"""

from __future__ import annotations

from urllib.parse import quote

from addonkit.errors import HostUnavailable, ResponseInvalid
from addonkit.hostapi.call import build_url
from addonkit.hostapi.signing import addon_authorization
from addonkit.hostapi.transport import Transport
from addonkit.tenancy.record import TenantRecord

MAX_RESPONSE_BYTES = 64 * 1024


class PresenceCall:
    """Asks sites whether they know the add-on: one request without retries or redirects, apart from all rate limits.

    Args:
        transport: The connections.
        addon_key: The add-on's key.
    """

    def __init__(self, transport: Transport, addon_key: str) -> None:
        self._transport, self._addon_key = transport, addon_key

    async def ask(self, record: TenantRecord) -> int | None:
        """Return the HTTP status that the site answers; None if there is no complete answer.

        Args:
            record: The tenant with its secret, as it is stored now.

        Raises:
            HostError: The tenant has no secret.
        """
        path = f"/rest/atlassian-connect/1/addons/{quote(self._addon_key, safe='')}"
        url = build_url(record.tenant.base_url, path)
        headers = {"authorization": addon_authorization(record, self._addon_key, url.qsh("GET"))}
        try:
            response = await self._transport.send("GET", url.full, headers, None, MAX_RESPONSE_BYTES)
        except HostUnavailable:
            return None
        except ResponseInvalid as exc:
            return exc.status
        return response.status
