"""What went wrong in a handler, as it is kept and logged: bounded, without tokens, as text that any database holds."""

from __future__ import annotations

import traceback

from addonkit.errors import AddonkitError, HostError
from addonkit.text import masked, one_line, without_tokens

LONGEST_MESSAGE = 500
LONGEST_ERROR = 4000
FRAMES = 12


def where_from(cause: BaseException) -> str:
    """Give its type and place, ``Type at module:function:line``, without its message: for the log.

    A message may hold addresses or what somebody typed, or fail to be made at all.
    """
    frames = list(traceback.walk_tb(cause.__traceback__))
    said = type(cause).__name__
    if frames:
        frame, line = frames[-1]
        said = f"{said} at {frame.f_globals.get('__name__')}:{frame.f_code.co_name}:{line}"
    return _storable(said, LONGEST_MESSAGE)


def told(cause: BaseException) -> str:
    """Give its type, its message and the way to it, the last step last: for the operator who looks at the job.

    The values of variables are left out.
    """
    steps = [
        f"  {frame.f_globals.get('__name__')}:{frame.f_code.co_name}:{line}"
        for frame, line in traceback.walk_tb(cause.__traceback__)
    ][-FRAMES:]
    return _storable("\n".join([f"{type(cause).__name__}: {_message(cause)}", *steps]), LONGEST_ERROR)


def sentence_of(cause: BaseException) -> str:
    """Give one of our own sentences as it is, without the host's words, and of others the type and place."""
    if isinstance(cause, HostError):
        return _clean(cause.brief)
    return _message(cause) if isinstance(cause, AddonkitError) else where_from(cause)


def _message(cause: BaseException) -> str:
    try:
        said = str(cause)
    except Exception:
        return "(its message cannot be made)"
    return _clean(said)


def _clean(said: str) -> str:
    words = without_tokens(said[:LONGEST_MESSAGE]).split(" ")
    return one_line(" ".join(masked(word) for word in words))


def _storable(text: str, longest: int) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "?")[:longest]
