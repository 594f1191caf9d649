"""The key file of an add-on on loopback: one ``<id>:<base64>`` per line; the first key encrypts, all of them decrypt.

It is used if ``[security] encryption_keys`` is empty. Only addonkit's commands change it: under a lock, by replacing
the whole file, readable by its owner only, and flushed to disk before anything is encrypted with a new key.
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
from addonkit.settings import parse_key

MAX_BYTES = 64 * 1024

Key = tuple[str, bytes]


def new_key(key_id: str | None = None) -> str:
    """Generate a key as ``<id>:<base64>``.

    Args:
        key_id: Its id; by default today's date and four random characters.

    Raises:
        SettingsInvalid: The id is not valid.
    """
    key_id = key_id or f"{datetime.now(UTC):%Y%m%d}{secrets.token_hex(2)}"
    text = f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    try:
        parse_key(text.encode("ascii").decode())
    except ValueError:
        raise SettingsInvalid(f"'{key_id}' is not a valid key id; use letters, digits, '-' and '_'") from None
    return text


class KeyFile:
    """A key file, which may not exist yet.

    Args:
        path: Its path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether the file exists."""
        return self.path.exists()

    def lines(self) -> list[str]:
        """Its lines, each a key as ``<id>:<base64>``.

        Raises:
            SettingsInvalid: It cannot be read, or a line is not a key.
        """
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_BYTES).decode("latin-1")
        except OSError as error:
            raise self._unusable(error) from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        try:
            ids = [parse_key(line)[0] for line in lines]
        except ValueError:
            ids = []
        if not ids or len(set(ids)) < len(ids):
            fault = "holds two keys with one id" if ids else "holds no key"
            raise SettingsInvalid(
                f"the key file '{self.path}' {fault}; restore the file that encrypted the database, or remove both"
            )
        return lines

    def keys(self) -> list[Key]:
        """Ids and bytes of its keys.

        Raises:
            SettingsInvalid: It cannot be read, or a line is not a key.
        """
        return [parse_key(line) for line in self.lines()]

    def keys_with(self, front: KeyFile) -> list[Key]:
        """The keys of another file followed by its own.

        Raises:
            SettingsInvalid: They hold different keys with one id; or a file cannot be read.
        """
        return [parse_key(line) for line in self._joined(front.lines(), self._lines_or_none())]

    def keys_or_new(self) -> list[Key]:
        """Its keys; creates the file with a new key if it does not exist.

        Raises:
            SettingsInvalid: It can be neither read nor created.
        """
        if not self.exists():
            with self._locked():
                if not self.exists():
                    self._write([new_key()])
            from addonkit.log import structlog  # Imported here: commands that log nothing start faster.

            structlog.get_logger().info(
                "key_file.created", file=str(self.path), reason="[security] encryption_keys is empty on loopback"
            )
        return self.keys()

    def add(self, *texts: str) -> None:
        """Append keys; a key that the file has already stays where it is.

        Raises:
            SettingsInvalid: The file has another key with that id, or cannot be written.
        """
        with self._locked():
            self._write(self._joined(self._lines_or_none(), texts))

    def add_in_front(self, front: KeyFile) -> bool:
        """Put the keys of another file, such as that of a backup, in front; False if that changes nothing.

        Raises:
            SettingsInvalid: The files hold different keys with one id; or it cannot be written.
        """
        with self._locked():
            lines = self._lines_or_none()
            joined = self._joined(front.lines(), lines)
            if joined != lines:
                self._write(joined)
            return joined != lines

    def put_first(self, key_id: str) -> None:
        """Put a key first, so that it encrypts from the next start on.

        Raises:
            SettingsInvalid: There is no such key, or the file cannot be written.
        """
        with self._locked():
            lines = self.lines()
            chosen = self._line_of(key_id, lines)
            self._write([chosen, *(line for line in lines if line != chosen)])

    def remove(self, key_id: str) -> None:
        """Remove a key.

        Raises:
            SettingsInvalid: There is no such key, it is the first, or the file cannot be written.
        """
        with self._locked():
            lines = self.lines()
            chosen = self._line_of(key_id, lines)
            if chosen == lines[0]:
                raise SettingsInvalid(
                    f"'{key_id}' is the first key in '{self.path}', which encrypts; put another first with "
                    "'addonkit keys use'"
                )
            self._write([line for line in lines if line != chosen])

    def _joined(self, first: Sequence[str], second: Sequence[str]) -> list[str]:
        """Join two lists of keys, each key once.

        Raises:
            SettingsInvalid: Two keys share an id.
        """
        joined = list(dict.fromkeys([*first, *second]))
        ids = [parse_key(line)[0] for line in joined]
        for key_id in ids:
            if ids.count(key_id) > 1:
                raise SettingsInvalid(
                    f"'{self.path}' holds another key with the id '{key_id}'; give the new key another id, or move "
                    "that file away and keep it for the database that it belongs to"
                )
        return joined

    def _lines_or_none(self) -> list[str]:
        return self.lines() if self.exists() else []

    def _line_of(self, key_id: str, lines: Sequence[str]) -> str:
        for line in lines:
            if parse_key(line)[0] == key_id:
                return line
        named = ", ".join(f"'{parse_key(line)[0]}'" for line in lines)
        raise SettingsInvalid(f"there is no key '{key_id}' in '{self.path}'; it holds {named}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold an exclusive lock on the folder, since the file itself is replaced."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
            os.fsync(folder)
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            os.close(folder)

    def _write(self, lines: Sequence[str]) -> None:
        """Replace the file atomically."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        # A killed process may have left one; no other process writes while the lock is held.
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> SettingsInvalid:
        return SettingsInvalid(
            f"the key file '{self.path}' cannot be used: {error.strerror}; set [security] encryption_keys instead"
        )
