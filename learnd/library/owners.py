"""Who may speak for a path: rules as in a CODEOWNERS file, written by the operator.

A repository's own CODEOWNERS has no say: whoever may write the repository, an agent too, could write it. Of the rules
that match a path the last one counts; a rule without users takes the owners away again. What a rule matches is as
GitHub documents it for CODEOWNERS, which is not quite a `.gitignore`:

- `*` and `?` stop at a slash, `**` does not; a rule that begins with a slash, or has one inside, starts at the root.
- A rule that ends with a slash, or names a folder without wildcards, owns all below; `docs/*` owns only what stands
  in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learnd.settings import Owner


@dataclass(frozen=True, slots=True)
class Owned:
    """Cited paths that have owners, with them, and whether others are cited too."""

    paths: tuple[tuple[str, frozenset[str]], ...]
    others: bool


def owned(rules: Sequence[Owner], repository: str, paths: Iterable[str]) -> Owned:
    """Who owns which of `paths`, relative to the folder `repository`."""
    here = [rule for rule in rules if rule.repository is None or fnmatchcase(repository, rule.repository)]
    found = [(path, owners_of(here, path)) for path in dict.fromkeys(paths)]
    return Owned(
        tuple((path, owners) for path, owners in found if owners), not found or any(not owners for _, owners in found)
    )


def owners_of(rules: Sequence[Owner], path: str) -> frozenset[str]:
    """The owners of one path, empty where it has none."""
    for rule in reversed(rules):
        if _matcher(rule.path).fullmatch(path):
            return frozenset(rule.users)
    return frozenset()


@lru_cache(maxsize=1000)
def _matcher(rule: str) -> re.Pattern[str]:
    body = rule.strip("/")
    rooted = rule.startswith("/") or "/" in body
    parts = body.split("/")
    pattern = "/".join(map(_segment, parts))
    for stars, any_folders in (("/\0/", "/(?:.*/)?"), ("\0/", "(?:.*/)?"), ("/\0", "/.*"), ("\0", ".*")):
        pattern = pattern.replace(stars, any_folders)
    only_in_it = rooted and re.search(r"[*?]", parts[-1])
    below = "/.*" if rule.endswith("/") else "" if only_in_it else "(?:/.*)?"
    return re.compile(f"{'' if rooted else '(?:.*/)?'}{pattern}{below}", re.DOTALL)


def _segment(part: str) -> str:
    """A part as a regular expression; `**` as a whole part stands for any number of folders, none of them too."""
    if part == "**":
        return "\0"
    signs = {"*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(sign) or re.escape(sign) for sign in re.sub(r"\*+", "*", part))
