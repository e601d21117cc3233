"""The corpus of drafts: each a pattern's text with the change that it is about, some with one planted fault.

A case begins with `=== name sound` or `=== name fault:kind`. Then follow the change's hunks (`@ path:line`, or
`@ path:line unexercised`, and diff lines), the verification's commands (`$`), the tests that turned (`?`), what the
base was seen to say (`!`), and the text: `# title`, `tags:`, sections. What was planted stands in `⟦…⟧`; `{U+200B}` is
that character, `{x700:…}` repeats, `{+}` is nothing (it keeps made-up secrets from looking like ones).

Invariant: a hunk's line numbers are computed from its lines, so that every change is a diff that git would write.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from events.values import Evidence, HunkEvidence, ReplayOutcome, Scenario, ScenarioCommand, TestCounts
from learnd.crystalizer.change import is_test_file
from learnd.crystalizer.grounding import Grounding
from learnd.library.patterns import EvidenceLine, FrontMatter, render
from learnd.library.sections import HEADINGS, Sections
from state.pattern import PatternStatus

CORPUS: Final = Path(__file__).with_name("corpus")
KINDS: Final = (
    "path", "symbol", "command", "version", "hunk", "agent", "comment", "language", "encoded", "title", "tag", "url",
    "pipeline", "credential", "tool", "hidden", "homoglyph", "html", "link", "secret", "personal", "vacuous", "large",
    "overclaim",
)  # fmt: skip

_PLACE = re.compile(r"@ (?P<path>.+):(?P<line>\d+)(?P<unexercised> unexercised)?")
_CHARACTER = re.compile(r"\{U\+([0-9A-F]{4,6})\}")
_REPEAT = re.compile(r"\{x(\d+):([^}]*)\}")
_PLANTED = re.compile(r"⟦(.*?)⟧", re.DOTALL)


class CorpusUnreadable(Exception):
    """A case is not written as the module says; the message names it."""


@dataclass(frozen=True)
class Hunk:
    """One hunk of a case's change: its place in the old file and its lines with their signs."""

    path: str
    line: int
    lines: tuple[str, ...]
    exercised: bool


@dataclass(frozen=True)
class Case:
    """A draft and what it is about. `kind` is None for a sound one; `planted` is what must not get through."""

    name: str
    kind: str | None
    hunks: tuple[Hunk, ...]
    commands: tuple[str, ...]
    tests: tuple[str, ...]
    detail: str
    title: str
    tags: tuple[str, ...]
    sections: Sections
    planted: tuple[str, ...]

    @cached_property
    def diff(self) -> bytes:
        return "".join(_file_diff(path, hunks) for path, hunks in self._files()).encode()

    @cached_property
    def scenario(self) -> Scenario:
        commands = [ScenarioCommand(argv=_argv(line), cls="test", runner=line.split()[0]) for line in self.commands]
        return Scenario(source="execution_history", commands=tuple(commands))

    @cached_property
    def evidence(self) -> Evidence:
        failed = ReplayOutcome(
            ok=False, cause="assertion", exit_code=1, seconds=0.2, hash_seed=1, source="pytest", failing=self.tests,
            detail=self.detail,
        )  # fmt: skip
        passed = ReplayOutcome(
            ok=True, exit_code=0, seconds=0.2, hash_seed=1, source="pytest", counts=TestCounts(passed=len(self.tests))
        )
        return Evidence(
            verdict="proven", isolation="bubblewrap", base=(failed,) * 3, snapshot=(passed,) * 3,
            hunks=tuple(self._judged()), flake_upper_bound=0.63,
        )  # fmt: skip

    @cached_property
    def grounding(self) -> Grounding:
        return Grounding.of(self.evidence, self.diff, self.scenario)

    @cached_property
    def text(self) -> str:
        front = FrontMatter(
            id="0" * 64, status=PatternStatus.STAGED, title=self.title, source_job="1" * 64,
            manifest_path=".runs/made-up/cli/1/manifest.json", evidence=EvidenceLine.of(self.evidence),
            author="openai", model="gpt-4o", cost_usd=0.01, prompt_pack="crystalizer-v1",
            prompt_pack_stamp="0" * 64, snapshot_commit="2" * 40, created="2026-01-31T12:00:00.000Z", tags=self.tags,
        )  # fmt: skip
        return render(self.sections, front)

    def _files(self) -> Iterator[tuple[str, list[Hunk]]]:
        for path in dict.fromkeys(hunk.path for hunk in self.hunks):
            yield path, [hunk for hunk in self.hunks if hunk.path == path]

    def _judged(self) -> Iterator[HunkEvidence]:
        for path, hunks in self._files():
            for hunk, (_, after) in zip(hunks, _starts(hunks), strict=True):
                if not is_test_file(path):
                    verdict = "exercised" if hunk.exercised else "unexercised"
                    turned = self.tests if hunk.exercised else ()
                    yield HunkEvidence.model_validate(
                        {"file": path, "lines": _reach(hunk, after), "verdict": verdict, "turned": turned}
                    )


def read(folder: Path) -> list[Case]:
    """Every case of a folder's files, in order. Raises CorpusUnreadable."""
    return [case for file in sorted(folder.glob("*.txt")) for case in _cases(file.read_text())]


def _cases(text: str) -> Iterator[Case]:
    for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, rest = block.partition("\n")
        name, _, said = head.partition(" ")
        kind = said.removeprefix("fault:") if said.startswith("fault:") else None
        if kind not in KINDS and said != "sound":
            raise CorpusUnreadable(f"{name}: `{said}` is neither `sound` nor a known fault")
        yield _case(name, kind, rest)


def _case(name: str, kind: str | None, text: str) -> Case:
    at = re.search(r"^# ", text, re.MULTILINE)
    if at is None:
        raise CorpusUnreadable(f"{name}: no title")
    lines = text[: at.start()].splitlines()
    body = _expanded(text[at.start() :])
    planted = tuple(_PLANTED.findall(body))
    if bool(planted) != (kind is not None) and kind not in ("vacuous", "large"):
        raise CorpusUnreadable(f"{name}: what is planted is not marked")
    title, tags, sections = _body(name, _PLANTED.sub(r"\1", body))
    hunks = tuple(_hunks(name, lines))
    files = [hunk.path for hunk in hunks if is_test_file(hunk.path)]
    return Case(
        name, kind, hunks, tuple(line[2:] for line in lines if line.startswith("$ ")),
        tuple(_as_named(line[2:], files) for line in lines if line.startswith("? ")),
        "\n".join(line[2:] for line in lines if line.startswith("! ")), title, tags, sections, planted,
    )  # fmt: skip


def _expanded(text: str) -> str:
    text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text.replace("{+}", ""))
    return _CHARACTER.sub(lambda match: chr(int(match[1], 16)), text)


def _body(name: str, text: str) -> tuple[str, tuple[str, ...], Sections]:
    title, tags, rest = text.split("\n", 2)
    parts = re.split(r"^## (.+)\n", rest, flags=re.MULTILINE)
    headings = {heading: field for field, heading in HEADINGS.items()}
    if not tags.startswith("tags: ") or set(parts[1::2]) - set(headings):
        raise CorpusUnreadable(f"{name}: no tags, or no section of a pattern")
    said = {headings[heading]: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}
    return title[2:], tuple(tag.strip() for tag in tags[6:].split(",")), Sections.model_validate(said)


def _hunks(name: str, lines: list[str]) -> Iterator[Hunk]:
    place: re.Match[str] | None = None
    held: list[str] = []
    for line in [*lines, "@"]:
        if line.startswith("@"):
            if place:
                yield Hunk(place["path"], int(place["line"]), tuple(held), not place["unexercised"])
            place, held = _PLACE.fullmatch(line), []
        elif line[:1] in " +-" and place:
            held.append(line or " ")
        elif line[:2] not in ("$ ", "? ", "! "):
            raise CorpusUnreadable(f"{name}: `{line}` belongs to no hunk")


def _as_named(test: str, files: list[str]) -> str:
    """The test's id as its runner reports it: Jest's and Vitest's begin with the file."""
    script = [path for path in files if re.search(r"\.[cm]?[jt]sx?$", path)]
    return f"{script[0]} > {test}" if script and " > " not in test else test


def _argv(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line))


def _starts(hunks: list[Hunk]) -> Iterator[tuple[int, int]]:
    """Where each hunk of a file begins before and after the change."""
    moved = 0
    for hunk in hunks:
        yield hunk.line, hunk.line + moved
        moved += sum(line[0] == "+" for line in hunk.lines) - sum(line[0] == "-" for line in hunk.lines)


def _reach(hunk: Hunk, start: int) -> tuple[int, int]:
    """The added lines in the new file; of a mere deletion, the line that it stood before."""
    at, added = start, list[int]()
    gone = start
    for line in hunk.lines:
        if line[0] == "+":
            added.append(at)
        elif line[0] == "-":
            gone = at
        at += line[0] != "-"
    return (added[0], added[-1]) if added else (gone, gone)


def _file_diff(path: str, hunks: list[Hunk]) -> str:
    parts = [f"diff --git a/{path} b/{path}\n", f"--- a/{path}\n+++ b/{path}\n"]
    for hunk, (before, after) in zip(hunks, _starts(hunks), strict=True):
        olds = sum(line[0] != "+" for line in hunk.lines)
        news = sum(line[0] != "-" for line in hunk.lines)
        # A side without lines is named by the line before it.
        parts.append(f"@@ -{before if olds else before - 1},{olds} +{after if news else after - 1},{news} @@\n")
        parts += [f"{line}\n" for line in hunk.lines]
    return "".join(parts)
