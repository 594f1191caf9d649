"""The exceptions of addonkit, in one hierarchy below ``AddonkitError``.

There is a separate class for each error that a caller can handle differently. A message is one sentence: what was
found, what was expected, and the remedy. It never contains a token or a secret, so it can be logged unchanged.
"""


class AddonkitError(Exception):
    """Base class of all exceptions of addonkit. Catch it to show its message instead of a traceback."""


class SettingsInvalid(AddonkitError):
    """The deployment's configuration cannot be used; the process does not start."""


class PluginError(AddonkitError):
    """A plugin cannot be used; the process does not start, or starts without it.

    Args:
        message: One sentence with the plugin, the cause and the remedy.
        plugin: The plugin's name.
    """

    def __init__(self, message: str, *, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class DescriptorInvalid(PluginError):
    """A module breaks one of the host's rules."""


class DescriptorConflict(PluginError):
    """Two plugins claim the same module key, path, table or single module.

    Args:
        message: One sentence with both plugins and what they claim.
        plugin: The plugin that was checked second.
        other: The plugin that was checked first.
    """

    def __init__(self, message: str, *, plugin: str, other: str) -> None:
        super().__init__(message, plugin=plugin)
        self.other = other


class ManifestInvalid(AddonkitError):
    """A file is not a Forge manifest, or may not be replaced by one."""


class VaultLocked(AddonkitError):
    """A stored secret cannot be decrypted: its key is missing, or the value was encrypted for another row."""


class TenantMissing(AddonkitError):
    """Tenant-bound data was used without a tenant in scope, or in a transaction of another tenant."""


class CrossTenantWrite(AddonkitError):
    """A write to a row of one tenant in the scope of another was refused."""


class SiblingForbidden(AddonkitError):
    """A plugin used a tenant's sibling without access, outside the tenant's scope, or to write."""


class ClientKeyMissing(AddonkitError):
    """A tenant was asked for its client key and has none, since its site did not install through Connect."""


class StorageUnavailable(AddonkitError):
    """The database did not answer; nothing was stored."""


class Refused(AddonkitError):
    """A request is refused with an HTTP status and its phrase; the message is only logged.

    Args:
        message: One sentence for the log.
        kind: Label for the metric of refusals; the class's own by default.
    """

    status = 401
    kind = "other"

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind or self.kind


class TokenInvalid(Refused):
    """The token is malformed, forged, expired, or meant for another recipient or request (401)."""

    kind = "token"


class SignatureInvalid(TokenInvalid):
    """The token is well formed but not signed with this key. The secret may have changed since it was read (401)."""

    kind = "signature"


class TenantUnknown(Refused):
    """No active tenant has this client key (401)."""

    kind = "tenant"


class IdentityConflict(Refused):
    """The names in an install request belong to two tenants; an operator has to decide (409)."""

    status = 409
    kind = "conflict"


class RequestMalformed(Refused):
    """The request can be read in several ways, or in none (400)."""

    status = 400
    kind = "malformed"


class PayloadOverdue(Refused):
    """The body did not arrive completely within its time limit (408)."""

    status = 408
    kind = "overdue"


class PayloadTooLarge(Refused):
    """The body is larger than this endpoint accepts (413)."""

    status = 413
    kind = "too_large"


class PayloadInvalid(Refused):
    """The body is authenticated but unusable; the message names the field (422)."""

    status = 422
    kind = "payload"


class HostUnreachable(Refused):
    """A service of the host that the response depends on does not answer; the sender may retry (503)."""

    status = 503
    kind = "host"


class GiveUp(AddonkitError):
    """Raised by a job handler to fail without further attempts: the job becomes dead and is kept."""


class QueueFull(Refused):
    """Too many webhooks wait to be stored (503); Jira sends the webhook again, Confluence does not."""

    status = 503
    kind = "busy"


class CallForbidden(AddonkitError):
    """A host call was not sent, and a retry would not help: it leads off the site, or the plugin may not make it."""


class ScopeMissing(CallForbidden):
    """A host call was not sent, because the plugin lacks the scope that it needs.

    Args:
        message: One sentence that names the plugin, the call and the scope.
        scope: The scope; ``INACCESSIBLE`` is one that the host grants to no add-on.
    """

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class ObjectIdInvalid(CallForbidden):
    """A host call was not sent, because the id of its object has no form that the host uses; a page answers 400."""


class HostError(AddonkitError):
    """A host call failed: the host refused it, or there was no usable response.

    Args:
        message: One sentence: the call, the response, the remedy. It contains the host's messages, which may repeat
            user input.
        brief: The same without the host's messages, for the log; the message by default.
        status: The HTTP status; None if there was no response.
        messages: The host's own error messages.
        request_id: The host's id of the request, for its support.
        retry_after_s: When a retry makes sense, in seconds from now; None if unknown. A job that raises this error is
            not retried earlier.
    """

    def __init__(
        self,
        message: str,
        *,
        brief: str | None = None,
        status: int | None = None,
        messages: tuple[str, ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.brief = brief or message
        self.status, self.messages, self.request_id = status, messages, request_id
        self.retry_after_s = retry_after_s


class HostUnavailable(HostError):
    """There was no complete response: no connection, no response in time, or an incomplete one.

    Args:
        message: As in ``HostError``.
        sent: Whether the host may have received the request, and may have carried it out.
        retry_after_s: As in ``HostError``.
    """

    def __init__(self, message: str, *, sent: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.sent = sent


class RateLimited(HostError):
    """The site's rate limit is exhausted (429), and waiting for it would have exceeded the call's deadline."""


class ResponseInvalid(HostError):
    """The response is too large, is not JSON, or lacks what it should contain."""


class ScopeNotApproved(HostError):
    """The site's administrator has not approved a scope of this release yet, so the host refuses calls that need it.

    The first call is refused by the host; further ones are not sent until the site approves, or until the next trial.
    Until then the site works with the scopes that it has approved.

    Args:
        message: As in ``HostError``; it names the scope.
        scope: The scope.
        retry_after_s: Seconds until the next trial. A job that raises this error is tried again every five minutes, and
            the attempts do not count.
    """

    def __init__(self, message: str, *, scope: str, retry_after_s: float) -> None:
        super().__init__(message, status=403, retry_after_s=retry_after_s)
        self.scope = scope


class UserTokenDenied(HostError):
    """The host refused a token to act as a user.

    Args:
        message: As in ``HostError``.
        reason: ``"inactive"``: the user is not active; ``"scope"``: the add-on may not act as users, or not with these
            scopes; ``"not installed"``: the host does not know this installation; ``"other"``.
        status: As in ``HostError``.
        code: The token server's error code; None if it sent none, or was not asked.
    """

    def __init__(self, message: str, *, reason: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message, status=status)
        self.reason, self.code = reason, code
