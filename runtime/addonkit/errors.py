"""Everything that addonkit raises on purpose, drawn as one tree.

A class exists where a caller acts differently. A message is one sentence: what was found, what was expected, the
remedy. It never holds a token or a secret, so that it may be logged as it is.
"""


class AddonkitError(Exception):
    """The root: catch it to show a sentence in place of a traceback."""


class SettingsInvalid(AddonkitError):
    """The deployment's configuration cannot be used; the process does not come up."""


class PluginError(AddonkitError):
    """A plugin cannot be used; the process does not come up, or comes up without it.

    Args:
        message: One sentence that names the plugin, the cause and the remedy.
        plugin: The plugin's name.
    """

    def __init__(self, message: str, *, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class DescriptorInvalid(PluginError):
    """A module breaks one of the host's rules."""


class DescriptorConflict(PluginError):
    """Two plugins own the same thing.

    Args:
        message: One sentence that names both owners and the thing.
        plugin: The one that came second.
        other: The one that came first.
    """

    def __init__(self, message: str, *, plugin: str, other: str) -> None:
        super().__init__(message, plugin=plugin)
        self.other = other


class VaultLocked(AddonkitError):
    """A stored secret cannot be read: its key is missing, or the value was made for another row."""


class TenantMissing(AddonkitError):
    """Tenant-bound data was touched without a tenant in scope, or with a second one inside a transaction."""


class CrossTenantWrite(AddonkitError):
    """A row of one tenant was to be written in the scope of another."""


class StorageUnavailable(AddonkitError):
    """The database did not answer; nothing was stored."""


class Refused(AddonkitError):
    """A request is answered with a status and its phrase; the sentence goes to the log alone.

    Args:
        message: The sentence.
        kind: What refusals of this sort are counted under, where the class's own word is too broad.
    """

    status = 401
    kind = "other"

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind or self.kind


class TokenInvalid(Refused):
    """The token is malformed, false, expired, foreign, or not the one for this place (401)."""

    kind = "token"


class SignatureInvalid(TokenInvalid):
    """The token is well formed and not signed with this key: the secret may have changed since it was read."""

    kind = "signature"


class TenantUnknown(Refused):
    """No site that is installed and enabled goes by this client key (401)."""

    kind = "tenant"


class PayloadOverdue(Refused):
    """The body had not come whole when its time was over (408)."""

    status = 408
    kind = "overdue"


class PayloadTooLarge(Refused):
    """The body is larger than this place takes (413)."""

    status = 413
    kind = "too_large"


class PayloadInvalid(Refused):
    """Well signed and unusable: the sentence names the field (422)."""

    status = 422
    kind = "payload"


class HostUnreachable(Refused):
    """Something of the host's that the answer depends on is down; trying again makes sense (503)."""

    status = 503
    kind = "host"


class GiveUp(AddonkitError):
    """Raised by a job's handler: trying again is of no use, so that the job is dead at once and kept."""


class QueueFull(Refused):
    """More webhooks wait to be stored than may; the host tries again (503)."""

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


class UserTokenDenied(HostError):
    """The host gives no token for a user.

    Args:
        message: As in ``HostError``.
        reason: ``"inactive"``: the user is not active; ``"scope"``: the add-on may not act as users, or not with these
            scopes; ``"not installed"``: the host does not know this installation; ``"other"``.
        status: As in ``HostError``.
    """

    def __init__(self, message: str, *, reason: str, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.reason = reason
