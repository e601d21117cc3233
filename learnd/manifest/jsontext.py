"""JSON as text: strict when read, changed in place when written.

Reading refuses what two readers could understand differently (duplicate keys, NaN, bytes that are not
UTF-8). Writing changes the named members and leaves every other byte as it was: a number that Python
cannot hold keeps its digits, keys keep their order, the producer's layout stays.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NoReturn

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class NotJson(Exception):
    """The bytes are not JSON that means one thing. The message says what and where."""


def parse(data: bytes) -> object:
    """The value of `data`. Raises NotJson, whatever the bytes are."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise NotJson("empty: half-written, or not a manifest at all")
    try:
        value: object = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique_keys
        )
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise NotJson(f"half-written: it ends in the middle (line {error.lineno})") from None
        raise NotJson(f"not JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError:  # only int() of more digits than sys.get_int_max_str_digits() is left
        raise NotJson("a number has too many digits") from None
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value] # add() is None: not seen yet
        raise NotJson(f"the key {twice[:80]!a} stands twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson(f"the number {text[:40]} is too large")
    return value


@dataclass(frozen=True, slots=True)
class _Style:
    """How a producer lays JSON out: the unit of indentation (empty: all on one line), line end, colon."""

    unit: str
    newline: str
    colon: str

    def break_at(self, level: int) -> str:
        return self.newline + self.unit * level if self.unit else ""

    def render(self, value: Json, level: int) -> str:
        if not self.unit:
            return json.dumps(value, ensure_ascii=False, separators=(",", self.colon))
        return json.dumps(value, ensure_ascii=False, indent=self.unit).replace("\n", self.break_at(level))


def with_member(text: str, key: str, value: Json) -> str:
    """`text`, an object that `parse` accepts, with `key` set to `value`; all else stays as it is, to the byte.

    Where objects stand on both sides, its members are set one by one, so that members which `value` does not
    name stay too.
    """
    start = len(text) - len(text.lstrip(_SPACE))
    style = _style_of(text, start)
    return text[:start] + _updated(text[start:], {key: value}, 1, style)


def _updated(text: str, changes: dict[str, Json], level: int, style: _Style) -> str:
    """The object that begins `text` with `changes`; its members stand at indentation `level`."""
    for key, value in changes.items():
        spans = _members(text)
        if key in spans:
            start, end = spans[key]
            old = text[start:end]
            if isinstance(value, dict) and old.startswith("{"):
                new = _updated(old, value, level + 1, style)
            else:
                new = style.render(value, level)
            text = text[:start] + new + text[end:]
        else:
            member = f"{json.dumps(key)}{style.colon}{style.render(value, level)}"
            if spans:
                end = max(end for _, end in spans.values())
                text = f"{text[:end]},{style.break_at(level)}{member}{text[end:]}"
            else:
                after = text[text.index("}") :]
                text = f"{{{style.break_at(level)}{member}{style.break_at(level - 1)}{after}"
    return text


_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


def _members(text: str) -> dict[str, tuple[int, int]]:
    """Where the values of the object that begins `text` start and end."""
    spans: dict[str, tuple[int, int]] = {}
    at = _skip(text, 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        spans[key] = (start, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return spans


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _style_of(text: str, start: int) -> _Style:
    """Read the style off the first member: `{`, line break and indentation, key, colon, value."""
    first = _skip(text, start + 1)
    lead = text[start + 1 : first]
    if text[first] == "}":
        return _Style("  ", "\n", ": ")
    _, end = _DECODER.raw_decode(text, first)
    colon = text[end : _skip(text, _skip(text, end) + 1)]
    if "\n" not in lead:
        return _Style("", "", colon)
    return _Style(lead.rpartition("\n")[2], "\r\n" if "\r\n" in lead else "\n", colon)
