"""Payloads of lifecycle requests: installed, enabled, disabled and uninstalled.

Read them only after the token was verified. `check_host_url` decides whether the site's URL is trusted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from addonkit.errors import PayloadInvalid, PayloadTooLarge
from addonkit.protocol.json_object import read_object
from addonkit.text import well_formed
from addonkit.validation_errors import first_error

MAX_PAYLOAD = 64 * 1024
"""Longest body of a lifecycle request, in bytes."""
MIN_SHARED_SECRET = 32
"""Shortest shared secret of an installation, in bytes of UTF-8."""
MAX_SHARED_SECRET = 512
"""Longest shared secret of an installation, in bytes of UTF-8."""
_EXACT = frozenset({"key", "clientKey", "sharedSecret"})


def _storable(value: str) -> str:
    """Refuse text that PostgreSQL cannot store."""
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


def _text_or_none(value: object) -> str | None:
    """Return a text; None for any other value, since a field that is not needed must not refuse an installation."""
    return value if isinstance(value, str) else None


_Name = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_storable)]
_Fact = Annotated[str, StringConstraints(max_length=255), AfterValidator(_storable)]


class LifecyclePayload(BaseModel):
    """The fields of a lifecycle request's body that addonkit uses; all others are ignored.

    Source: the host's field list. A shared secret may have 400 bytes; client keys are opaque.
    """

    model_config = ConfigDict(
        defer_build=True,  # built when the first site installs
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )

    key: _Name
    client_key: _Name
    product_type: Literal["jira", "confluence"]
    base_url: _Name
    event_type: Literal["installed", "enabled", "disabled", "uninstalled"]
    shared_secret: str | None = Field(default=None, repr=False)
    display_url: _Fact | None = None
    oauth_client_id: _Fact | None = None
    installation_id: _Fact | None = None
    display_url_servicedesk_help_center: Annotated[str | None, BeforeValidator(_text_or_none)] = None


def read_payload(body: bytes, event: str) -> LifecyclePayload:
    """Read and validate the body of a lifecycle request for ``event``.

    Raises:
        PayloadInvalid: It is not a JSON object, a field is missing, has another type or is too long, or it is for
            another event; the message names the field.
        PayloadTooLarge: It is longer than 64 KB.
    """
    if len(body) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"the '{event}' body is longer than {MAX_PAYLOAD} bytes")
    try:
        fields = _well_formed(read_object(body, "surrogatepass"))
        payload = LifecyclePayload.model_validate(fields, by_alias=True, by_name=False)
    except ValidationError as problem:
        first = first_error(problem)
        raise PayloadInvalid(f"the field '{first.place}' of the '{event}' body is unusable: {first.message}") from None
    except ValueError as problem:
        raise PayloadInvalid(f"the '{event}' body is unusable: {problem}") from None
    if payload.event_type != event:
        raise PayloadInvalid(f"the field 'eventType' is '{payload.event_type}' in a request for '{event}'")
    if event == "installed":
        _check_secret(payload.shared_secret)
    return payload


def _well_formed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with U+FFFD for halves of surrogate pairs, except those that must be exact.

    A key or secret with such a half is refused afterwards.
    """
    return {
        name: well_formed(value) if isinstance(value, str) and name not in _EXACT else value
        for name, value in fields.items()
    }


def _check_secret(secret: str | None) -> None:
    try:
        size = len((secret or "").encode())
    except UnicodeEncodeError:
        raise PayloadInvalid("the field 'sharedSecret' cannot be encoded as UTF-8") from None
    if not MIN_SHARED_SECRET <= size <= MAX_SHARED_SECRET:
        raise PayloadInvalid(
            f"the field 'sharedSecret' has {size} bytes, expected {MIN_SHARED_SECRET} to {MAX_SHARED_SECRET}"
        )
