"""Objects hashed anew from their content: what git reads is not always what the name says.

git checks an object's hash when it is written or fetched, not when a blob is read: a file in the store exchanged for
another whole object goes unnoticed by `rev-list --verify-objects` and by a checkout.
"""

from __future__ import annotations

import hashlib
from typing import Any


class Rehash:
    """A sink for the output of `git cat-file --batch`. `wrong` says what did not hold, None while all does."""

    def __init__(self, algorithm: str) -> None:
        self.wrong: str | None = None
        self._algorithm = algorithm
        self._header = b""
        self._name = ""
        self._left = -1
        """Bytes of content and of the newline after it still to come; -1 while a header is read."""
        self._digest: Any = None

    def write(self, chunk: bytes) -> int:
        """Take the next bytes, cut anywhere."""
        at = 0
        while at < len(chunk):
            if self._left < 0:
                end = chunk.find(b"\n", at)
                self._header += chunk[at : end if end >= 0 else len(chunk)]
                if end < 0:
                    break
                at = end + 1
                self._begin()
            else:
                taken = chunk[at : at + self._left]
                at += len(taken)
                self._left -= len(taken)
                self._digest.update(taken if self._left else taken[:-1])
                if not self._left:
                    self._end()
        return len(chunk)

    def _begin(self) -> None:
        name, kind, *size = self._header.decode().split(" ")
        self._header = b""
        if not size:
            self.wrong = self.wrong or f"{name} is {kind}"
            return
        self._name = name
        self._left = int(size[0]) + 1
        self._digest = hashlib.new(self._algorithm, f"{kind} {size[0]}\0".encode(), usedforsecurity=False)

    def _end(self) -> None:
        self._left = -1
        if self._digest.hexdigest() != self._name:
            self.wrong = self.wrong or f"{self._name} holds another object's content"
