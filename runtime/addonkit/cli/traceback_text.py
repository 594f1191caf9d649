"""Tracebacks for the console log: indented, cleaned line by line, and cut to the frames that tell something."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from types import FrameType

from addonkit.text import one_line, shortened

INDENT = "    "
LIBRARY_FRAMES = 3
"""So many frames of libraries and of the runtime are shown: the last ones."""
MAX_FRAMES = 40
"""Most frames of plugins that are shown, as a recursion has hundreds."""
MAX_MESSAGE = 2000
MAX_CHAIN = 8
MAX_GROUP = 5
CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"


def traceback_text(error: BaseException, packages: Collection[str] = (), *, whole: bool = False) -> str:
    """Return the traceback of an exception and its causes, each line indented and without control characters.

    A line break in the text of an exception is escaped: it may be a caller's, who would forge lines with it.

    Args:
        error: The exception.
        packages: Packages of plugins. Their frames are shown, and the last three of all others.
        whole: Whether all frames are shown.
    """
    return indented("\n".join(_lines(error, packages, whole)))


def indented(text: str) -> str:
    """Return text whose lines are indented and contain no control characters."""
    return "\n".join(INDENT + one_line(line) for line in text.split("\n"))


def _lines(error: BaseException, packages: Collection[str], whole: bool) -> Iterator[str]:
    for link, one in _chain(error):
        if link:
            yield from ("", link, "")
        if one.__traceback__ is not None:
            yield "Traceback (most recent call last):"
            yield from _frame_lines(one, packages, whole)
        yield from _message_lines(one)
        if isinstance(one, BaseExceptionGroup):
            for part in one.exceptions[:MAX_GROUP]:
                yield from (f"  | {line}" for line in _lines(part, packages, whole))
            if len(one.exceptions) > MAX_GROUP:
                yield f"  | … and {len(one.exceptions) - MAX_GROUP} more"


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """Return an exception with those that led to it, the first one first, each with the words that link it."""
    found: list[tuple[str, BaseException]] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(found) < MAX_CHAIN:
        seen.add(id(one))
        if one.__cause__ is not None:
            found.append((CAUSE, one))
            one = one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            found.append((CONTEXT, one))
            one = one.__context__
        else:
            found.append(("", one))
            one = None
    found.reverse()
    return [("", found[0][1]), *found[1:]]


def _frame_lines(error: BaseException, packages: Collection[str], whole: bool) -> Iterator[str]:
    frames = list(traceback.walk_tb(error.__traceback__))
    shown = set(range(len(frames))) if whole else _shown([frame for frame, _ in frames], packages)
    summaries = traceback.StackSummary.extract(iter(frames), lookup_lines=False)
    omitted = 0
    for number, summary in enumerate(summaries):
        if number not in shown:
            omitted += 1
            continue
        if omitted:
            yield _omission(omitted)
            omitted = 0
        yield one_line(f'  File "{summary.filename}", line {summary.lineno}, in {summary.name}')
        if summary.line:
            yield one_line(f"    {summary.line}")
    if omitted:
        yield _omission(omitted)


def _shown(frames: list[FrameType], packages: Collection[str]) -> set[int]:
    """Return the numbers of the frames that are shown."""
    own = [number for number, frame in enumerate(frames) if _package(frame) in packages]
    others = [number for number, frame in enumerate(frames) if _package(frame) not in packages]
    return {*own[-MAX_FRAMES:], *others[-LIBRARY_FRAMES:]}


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _omission(count: int) -> str:
    return f"  … {count} more frame{'s' if count > 1 else ''}; set [log] level to debug to see all"


def _message_lines(error: BaseException) -> Iterator[str]:
    try:
        [*lines] = traceback.TracebackException(type(error), error, None, compact=True).format_exception_only()
        notes = [str(note) for note in getattr(error, "__notes__", ())]
    except Exception:  # the exception's own code, such as its __str__
        yield f"{type(error).__name__}: its text cannot be read"
        return
    # Each note has lines of its own at the end; they are written on one line below.
    count = sum(note.count("\n") + 1 for note in notes)
    for line in lines[: len(lines) - count] if count else lines:
        yield shortened(line.removesuffix("\n"), MAX_MESSAGE)
    for note in notes:
        yield shortened(note, MAX_MESSAGE)
