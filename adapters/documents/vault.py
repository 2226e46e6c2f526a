"""What stands for values that are never shown: a digest for each, and a file for the owner alone that knows them."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Final

from adapters import private

SEAL: Final = "secret:"
_guard: Final = threading.Lock()


class Vault:
    """Values by what stands for them. Equal values have equal seals in one vault; a seal tells nobody what it stands for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = b""
        self._known: dict[str, str] = {}

    def sealed(self, text: str) -> str:
        """What stands for a value, which is remembered."""
        with _guard:
            if not self._key:
                self._open()
            seal = SEAL + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]
            if seal not in self._known:
                self._append({"seal": seal, "text": text})
                self._known[seal] = text
            return seal

    def opened(self, seal: str) -> str | None:
        """What a seal stands for; None where nobody has sealed it."""
        with _guard:
            if not self._key or seal not in self._known:
                self._open()
            return self._known.get(seal)

    def _open(self) -> None:
        private.make_folder(self._path.parent)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, private.FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # one of several that begin at once makes the key
            if not os.fstat(file).st_size:
                self._append({"key": secrets.token_hex(32)})
        finally:
            os.close(file)
        for line in self._path.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if "key" in entry:
                self._key = self._key or bytes.fromhex(entry["key"])
            else:
                self._known[entry["seal"]] = entry["text"]

    def _append(self, entry: dict[str, str]) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, (json.dumps(entry) + "\n").encode())
            os.fsync(file)
        finally:
            os.close(file)
