"""Typed reading of a raw manifest: the one place where its untyped members become values.

A missing member and a null are the same (None); a member of the wrong type is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from learnd.manifest import times

MAX_INT = 2**63 - 1
"""What the log's database and every other reader can hold."""


class WrongField(Exception):
    """A member is not what it must be. The message names the member, what it must be, and what it is."""


class Fields:
    """The members of one JSON object; `name` leads to it from the document's root, for messages."""

    def __init__(self, members: Mapping[str, object], name: str = "") -> None:
        self._members = members
        self._name = name

    @classmethod
    def of(cls, value: object, name: str = "") -> Fields:
        """The object `value`. Raises WrongField when it is none."""
        if not isinstance(value, dict):
            raise WrongField(f"{name or 'the document'} must be an object, is {_said(value)}")
        return cls(value, name)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        return list(self._members)

    def value(self, name: str) -> object:
        """The raw member, None when it is missing."""
        return self._members.get(name)

    def text(self, name: str) -> str | None:
        """A text that can be stored and passed on: no NUL, no half of a surrogate pair."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        if "\0" in value:
            raise self._wrong(name, "a text without NUL", value)
        if not _storable(value):
            raise self._wrong(name, "Unicode text, without lone surrogates", value)
        return value

    def label(self, name: str) -> str | None:
        """A text that people only read: what cannot be stored in it (producers cut in mid-character) is replaced."""
        value = self.value(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value.encode("utf-8", "replace").decode().replace("\0", "?") if value else None

    def time(self, name: str) -> str | None:
        """A time in any written form that producers use, normalised."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return times.normalise(value)
        except ValueError:
            raise self._wrong(name, "a time", value) from None

    def integer(self, name: str) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INT:
            raise self._wrong(name, "a whole number of at most 64 bits", value)
        return value

    def identifier(self, name: str) -> str | None:
        """A name that is safe as one file name. Raises WrongField saying what is wrong with it."""
        value = self.text(name)
        wrong = None if value is None else unsafe_name(value)
        if wrong:
            raise WrongField(f"{self._path(name)} {_said(value)} {wrong}")
        return value

    def inner(self, name: str) -> Fields | None:
        """The object `name`."""
        value = self.value(name)
        return None if value is None else Fields.of(value, self._path(name))

    def each(self, name: str) -> list[Fields]:
        """The objects in the list `name`, none when it is missing."""
        value = self.value(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return [Fields.of(item, f"{self._path(name)}[{at}]") for at, item in enumerate(value)]

    def _path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def _wrong(self, name: str, expected: str, value: object) -> WrongField:
        return WrongField(f"{self._path(name)} must be {expected}, is {_said(value)}")


def unsafe_name(value: str) -> str | None:
    """Why `value` may not become the name of a file or folder, None when it may.

    Stricter than the file system, as the producer is: no separators, no leading dot, no control characters.
    """
    if not value.strip():
        return "is empty"
    if "/" in value or "\\" in value:
        return "has a path separator"
    if value.startswith("."):
        return "starts with a dot"
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        return "has a control character"
    if not _storable(value):
        return "has a lone surrogate"
    if len(value.encode()) > 200:
        return "is longer than 200 bytes"
    return None


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(value: object) -> str:
    """`value` as a short message can show it, all ASCII."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    shown = ascii(value) if not isinstance(value, int) or abs(value) <= MAX_INT else "a larger number"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
