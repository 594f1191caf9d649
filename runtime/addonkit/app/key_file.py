"""The key file of an add-on on loopback: ``<id>:<base64>`` a line, of which the first seals and all open.

It stands in for ``[security] encryption_keys`` where that is empty, and is changed by our own commands alone. A change
replaces the file as a whole, readable by its owner only, and is on disk before anything can be sealed with it.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from addonkit.errors import SettingsInvalid
from addonkit.log import structlog
from addonkit.settings import parse_key

LARGEST = 64 * 1024

log = structlog.get_logger()
Key = tuple[str, bytes]


def new_key(key_id: str | None = None) -> str:
    """A new key as ``<id>:<base64>``.

    Args:
        key_id: Its id; by default today's date and four characters of chance.

    Raises:
        SettingsInvalid: The id cannot be one.
    """
    key_id = key_id or f"{datetime.now(UTC):%Y%m%d}{secrets.token_hex(2)}"
    text = f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    try:
        parse_key(text.encode("ascii").decode())
    except ValueError:
        raise SettingsInvalid(f"'{key_id}' is no id for a key; use letters, digits, '-' and '_'") from None
    return text


class KeyFile:
    """A key file, which may not be there yet.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether it is there."""
        return self.path.exists()

    def lines(self) -> list[str]:
        """Its lines, each of which is a key as ``<id>:<base64>``.

        Raises:
            SettingsInvalid: It cannot be read, or a line of it holds no key.
        """
        try:
            with self.path.open("rb") as file:
                text = file.read(LARGEST).decode("latin-1")
        except OSError as wrong:
            raise self._unusable(wrong) from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        try:
            ids = [parse_key(line)[0] for line in lines]
        except ValueError:
            ids = []
        if not ids or len(set(ids)) < len(ids):
            wrong_about = "holds two keys of one id" if ids else "holds no key"
            raise SettingsInvalid(
                f"the key file '{self.path}' {wrong_about}; bring back the one that encrypted the database, or remove "
                "both"
            )
        return lines

    def keys(self) -> list[Key]:
        """Ids and bytes of its keys.

        Raises:
            SettingsInvalid: It cannot be read, or a line of it holds no key.
        """
        return [parse_key(line) for line in self.lines()]

    def keys_with(self, front: KeyFile) -> list[Key]:
        """Its keys as they would be with another file's in front.

        Raises:
            SettingsInvalid: Both hold a key of one id, and these are two; or one of them cannot be read.
        """
        return [parse_key(line) for line in self._joined(front.lines(), self._lines_if_there())]

    def keys_or_new(self) -> list[Key]:
        """Its keys, and a first one if there is no file.

        Raises:
            SettingsInvalid: It can be neither read nor made.
        """
        if not self.exists():
            with self._changing():
                if not self.exists():
                    self._write([new_key()])
            log.info(
                "made an encryption key", file=str(self.path), why="[security] encryption_keys is empty on loopback"
            )
        return self.keys()

    def add(self, *texts: str) -> None:
        """Put keys behind those that it has; one that it has already stays where it is.

        Raises:
            SettingsInvalid: It has another key of that id, or cannot be written.
        """
        with self._changing():
            self._write(self._joined(self._lines_if_there(), texts))

    def add_in_front(self, front: KeyFile) -> bool:
        """Put another file's keys before those that it has, as a backup brings them; False if that changes nothing.

        Raises:
            SettingsInvalid: Both hold a key of one id, and these are two; or it cannot be written.
        """
        with self._changing():
            lines = self._lines_if_there()
            joined = self._joined(front.lines(), lines)
            if joined != lines:
                self._write(joined)
            return joined != lines

    def put_first(self, key_id: str) -> None:
        """Let one of its keys seal from the next start on.

        Raises:
            SettingsInvalid: It has no such key, or cannot be written.
        """
        with self._changing():
            lines = self.lines()
            chosen = self._line_of(key_id, lines)
            self._write([chosen, *(line for line in lines if line != chosen)])

    def remove(self, key_id: str) -> None:
        """Take a key out.

        Raises:
            SettingsInvalid: It has no such key, or that one is the first; or it cannot be written.
        """
        with self._changing():
            lines = self.lines()
            chosen = self._line_of(key_id, lines)
            if chosen == lines[0]:
                raise SettingsInvalid(
                    f"'{key_id}' is the first key in '{self.path}', which seals; put another first with 'addonkit "
                    "keys use'"
                )
            self._write([line for line in lines if line != chosen])

    def _joined(self, first: Sequence[str], second: Sequence[str]) -> list[str]:
        """Both, each key once.

        Raises:
            SettingsInvalid: Two keys share an id.
        """
        joined = list(dict.fromkeys([*first, *second]))
        ids = [parse_key(line)[0] for line in joined]
        for key_id in ids:
            if ids.count(key_id) > 1:
                raise SettingsInvalid(
                    f"'{self.path}' holds another key of the id '{key_id}'; give the new one another id, or move that "
                    "file away and keep it for the database that it belongs to"
                )
        return joined

    def _lines_if_there(self) -> list[str]:
        return self.lines() if self.exists() else []

    def _line_of(self, key_id: str, lines: Sequence[str]) -> str:
        for line in lines:
            if parse_key(line)[0] == key_id:
                return line
        named = ", ".join(f"'{parse_key(line)[0]}'" for line in lines)
        raise SettingsInvalid(f"there is no key '{key_id}' in '{self.path}'; it holds {named}")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone among all processes, by a lock on the folder: the file itself is replaced."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as wrong:
            raise self._unusable(wrong) from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
            os.fsync(folder)
        except OSError as wrong:
            raise self._unusable(wrong) from None
        finally:
            os.close(folder)

    def _write(self, lines: Sequence[str]) -> None:
        """Replace the file: it appears whole or not at all."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        # Of a process that was killed: nobody else writes while we hold the lock.
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _unusable(self, wrong: OSError) -> SettingsInvalid:
        return SettingsInvalid(
            f"the key file '{self.path}' cannot be used: {wrong.strerror}; name a key in [security] encryption_keys"
        )
