"""Words of free text and of code, the same for what is indexed and for what is asked.

Names of code are taken apart as their writers put them together: `fetchOrders`, `fetch_orders` and `fetch-orders` are
all the words `fetch`, `orders` and, because the whole name says more than its parts, `fetchorders`. Every word consists
of letters and digits alone, so that no text can become an operator of a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 48
"""Letters of a word; what is longer (a digest, a data URL) is no word that two texts share by meaning."""

_NAME = re.compile(r"[^\W_]+(?:[._-]+[^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_ALNUM = re.compile(r"[\W_]+")

_FUNCTION_WORDS = """
a about after again all also am an and any are aren as at be because been before being below between both but by
can cannot could couldn did didn do does doesn doing don down during each else every few for from further had
has have having he her here hers him his how i if in into is isn it its just ll may me might more most must my
no nor not now of off on once only or other our out over own per please re same shall she should shouldn so some
such than that the their them then there these they this those through to too under until up upon ve very via
want was we were what when where whether which while who whom why will with within without won would you your
"""
_TASK_WORDS = """
acceptance add also always behavior behaviour bug bugs call called calls case cases change changed changes code
correct criteria criterion currently do ensure error every expected fail failing fails file files first fix
fixed fixes function get given however implement improve instead issue issues last like line lines long make
many method much need needs never new one problem project refactor repo repository result results run set still
support take taken takes task test tests thing things two update use used uses using value values way ways work
works write wrong
"""
COMMON = frozenset(f"{_FUNCTION_WORDS} {_TASK_WORDS}".split())
"""Of English, and of nearly every task that a coding agent is given: they tell no two of them apart."""


def words(text: str, *, whole: bool = True) -> Iterator[str]:
    """Every word of `text` in order, lower case; of a name that has several parts, the parts and then the `whole`."""
    for name in _NAME.findall(text):
        parts = [piece for part in _PART.findall(name) for piece in _CASE.split(part)]
        yield from _short(parts)
        if whole and len(parts) > 1:
            yield from _short(["".join(parts)])


def telling(text: str, *, whole: bool = True) -> tuple[str, ...]:
    """The words of a question that can tell one pattern from another, each once, in order."""
    found = words(text, whole=whole)
    return tuple(dict.fromkeys(word for word in found if len(word) > 1 and word not in COMMON))


def _short(parts: list[str]) -> Iterator[str]:
    for part in parts:
        # Case folding may leave a combining mark behind, which is no letter.
        word = _NOT_ALNUM.sub("", part.casefold())
        if word and len(word) <= LONGEST:
            yield word
