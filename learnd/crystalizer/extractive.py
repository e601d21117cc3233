"""The embedded author: a draft quoted from the run, without a model.

Problem is the prompt and how the base failed, Solution the exercised hunks word for word, Rationale what the
replays turned and how surely. It adds no interpretation, costs nothing, and the same request always gives the
same text.

Invariants:

- Every line of every diff fence belongs to a quotable block or is its context; what was changed without being
  exercised is counted, never named.
- A sentence of the prompt, or a line of the failure, that names something ungrounded is left out, and the text
  says that something was.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from events.values import Evidence, ReplayOutcome
from learnd.crystalizer.change import Change, Quote, commands, exercised_change, named_tests
from learnd.crystalizer.draft import TITLE_MAX, Draft, DraftRequest, safe
from learnd.crystalizer.grounding import Grounding, grounded_only
from learnd.crystalizer.shown import applies_when, cited, does_not_apply_when
from learnd.crystalizer.told import heading, tell, visible

NAME: Final = "extractive-v1"
"""Stands where a prompt pack's name stands for the author `openai`."""

_PROMPT_READ: Final = 20_000
"""Characters of the prompt that are looked at at all: it is untrusted, and looking costs time."""
_EARLIER_MAX: Final = 9
"""Of a group, the prompts before the last that are looked at."""
_TESTS_MAX: Final = 10
_DETAIL_LINES_MAX: Final = 12
_QUOTE_LINES_MAX: Final = 80
_LINES_MAX: Final = 240

_CAUSES: Final = {
    "assertion": "an assertion or an error in a test",
    "missing_symbol": "a name that the change itself adds and that the base does not have",
    "exit_code": "a non-zero exit code",
    "timeout": "a time-out",
    "no_tests": "no test that ran",
    "collection": "a test that could not be collected",
    "setup": "a set-up that failed",
}
_LANGUAGES: Final = {
    "py": "python", "pyi": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript", "cjs": "javascript",
    "ts": "typescript", "tsx": "typescript", "go": "go", "rs": "rust", "rb": "ruby", "java": "java", "kt": "kotlin",
    "c": "c", "h": "c", "cpp": "cpp", "cc": "cpp", "cs": "csharp", "php": "php", "swift": "swift", "sh": "shell",
    "sql": "sql", "css": "css", "html": "html",
}  # fmt: skip


class NothingExercised(Exception):
    """The evidence exercised no hunk that a text could quote."""


def stamp() -> str:
    """The sha256 of this author's wording (its code), in the place of a prompt pack's stamp."""
    here = Path(__file__)
    parts = (here, here.with_name("told.py"), here.with_name("shown.py"))
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def write(request: DraftRequest) -> Draft:
    """Write the draft. Raises NothingExercised, DiffUnreadable (of `change`)."""
    change = exercised_change(request.diff, request.evidence, request.scenario)
    grounding = Grounding.of_change(change, request.evidence, request.scenario)
    # First what the run said freely: what is judged as grounded must be what is written.
    prompt, hidden = safe((request.prompt or "")[:_PROMPT_READ])
    before = [safe((one or "")[:_PROMPT_READ]) for one in request.earlier_prompts[-_EARLIER_MAX:]]
    report, more = safe(visible(_report(request.evidence)))
    if not change.quotes:
        raise NothingExercised(
            "no hunk of the change was exercised: reverting each alone left every result as it was, "
            "so there is nothing that a pattern may claim"
        )
    texts = {
        "problem": _problem([text for text, _ in before], prompt, report, request, grounding),
        "solution": _solution(change),
        "rationale": _rationale(request, change),
        "applies_when": applies_when(request, change, _verification(request)),
        "does_not_apply_when": does_not_apply_when(request.evidence),
        "title": _title(prompt, request.evidence, change, grounding),
    }
    made = {name: safe(text) for name, text in texts.items()}
    return Draft(
        title=made["title"][0][:TITLE_MAX],
        problem=made["problem"][0],
        solution=made["solution"][0],
        rationale=made["rationale"][0],
        applies_when=made["applies_when"][0],
        does_not_apply_when=made["does_not_apply_when"][0],
        cited=cited(change),
        tags=_tags(change, request),
        author="extractive",
        prompt_pack=NAME,
        prompt_pack_stamp=stamp(),
        redactions=hidden + more + sum(count for _, count in (*before, *made.values())),
    )


# --- title ------------------------------------------------------------------------------------------


def _title(prompt: str, evidence: Evidence, change: Change, grounding: Grounding) -> str:
    """The prompt's first sentence where it is grounded, else the first test that turned, else the first file."""
    title = _cut(heading(prompt), TITLE_MAX)
    if len(title) >= 8 and "[redacted:" not in title and grounded_only(grounding, [title])[0]:
        # A name of code keeps its spelling.
        return title[0].upper() + title[1:] if re.match(r"[a-z]+(?:[ ,:]|$)", title) else title
    turned = _turned(evidence)
    if turned:
        return _cut(f"Make {_bare_name(turned[0])} pass", TITLE_MAX)
    return _cut(f"Change to {change.quotes[0].name}", TITLE_MAX)


def _bare_name(test: str) -> str:
    return _cut(re.split(r"::| > ", test)[-1], 80)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return (
        text[: limit - 1].rpartition(" ")[0].rstrip(" ,;:") + "…"
        if " " in text[: limit - 1]
        else text[: limit - 1] + "…"
    )


# --- problem ----------------------------------------------------------------------------------------


def _problem(before: list[str], prompt: str, report: str, request: DraftRequest, grounding: Grounding) -> str:
    parts = [part for one in before if one.strip() for part in _asked(one, grounding, "an earlier run of the group")]
    parts += [*_asked(prompt, grounding), *_how_the_base_failed(report, request, grounding)]
    return "\n\n".join(parts)


def _asked(prompt: str, grounding: Grounding, who: str = "the run") -> list[str]:
    if not prompt.strip():
        return ["The run left no prompt; what follows is taken from its replays alone."]
    told = tell(prompt, grounding)
    if not told.paragraphs:
        said = "was given a prompt, but no sentence of it stays within what the replays exercised."
        return [f"{who[0].upper()}{who[1:]} {said}"]
    note = ""
    if told.left_out:
        note = f" ({_count(told.left_out, 'sentence')} left out: only what was exercised is repeated here)"
    return [f"What {who} was asked to do{note}:", "\n>\n".join(f"> {text}" for text in told.paragraphs)]


def _how_the_base_failed(report: str, request: DraftRequest, grounding: Grounding) -> list[str]:
    evidence = request.evidence
    failed = [replay for replay in evidence.base if not replay.ok]
    if evidence.verdict != "proven" or not failed:
        return [
            "**No failure was shown.** The replays did not fail without the change, so this problem is only claimed."
        ]
    run = _verification(request)
    replays = "in its one replay" if len(failed) == 1 else f"in {_all_of(failed, evidence.base)}"
    causes = Counter(replay.cause or "exit_code" for replay in failed)
    why = " and ".join(_CAUSES.get(cause, f"`{cause}`") for cause, _ in causes.most_common())
    tests = list(dict.fromkeys(test for replay in failed for test in replay.failing))
    said = f"Without the change, but with its tests, {run} failed {replays}, each time on {why}"
    parts = [said + (". These tests failed:" if tests else ".")]
    if tests:
        parts.append(_bulleted(tests))
    detail = _detail(report, grounding)
    if detail:
        parts += ["The failure, as it was reported:", _fence("text", detail)]
    return parts


def _verification(request: DraftRequest) -> str:
    """The commands that verify the change, as Markdown code."""
    return " and ".join(f"`{line}`" for line in _listed(commands(request.scenario), 3))


def _report(evidence: Evidence) -> str:
    """What the first failed replay said of the failure."""
    return next((replay.detail for replay in evidence.base if not replay.ok and replay.detail.strip()), "")


def _detail(report: str, grounding: Grounding) -> list[str]:
    """The report's first lines, without those that name what was not exercised (tracebacks through libraries)."""
    kept, _ = grounded_only(grounding, (line.rstrip() for line in report.splitlines() if line.strip()))
    return kept[:_DETAIL_LINES_MAX]


# --- solution ---------------------------------------------------------------------------------------

_BASIS: Final = {
    "hunks": "Reverting any one of them alone makes the verification fail again.",
    "as_one": "Single reverts could not tell them apart; they were exercised together, as one change.",
    "unproven": "**They are not proven**: the replays passed with them, and were not shown to fail without them.",
}


def _solution(change: Change) -> str:
    files = len(change.paths)
    where = f"in `{change.quotes[0].name}`" if files == 1 else f"in {files} files"
    only = len(change.quotes) == 1
    intro = f"The change, quoted as it stands {where}. {_basis(change)}"
    parts = [intro]
    room = _LINES_MAX
    quoted = 0
    for quote in change.quotes:
        if room <= 0:
            break
        shown = quote.lines[: min(room, _QUOTE_LINES_MAX)]
        room -= len(shown)
        quoted += 1
        parts.append(f"{_place(quote)}:" if not only else f"{_place(quote, short=False)}:")
        parts.append(_fence("diff", shown))
        if len(shown) < len(quote.lines):
            parts.append(f"({_count(len(quote.lines) - len(shown), 'further line')} of this place not quoted.)")
    if quoted < len(change.quotes):
        parts.append(f"{_count(len(change.quotes) - quoted, 'further exercised place')} not quoted, for length.")
    if change.left_out:
        parts.append(
            f"Changed, but not shown to be exercised: {_count(change.left_out, 'hunk')}. Nothing is claimed about "
            f"{'it' if change.left_out == 1 else 'them'} here."
        )
    return "\n\n".join(parts)


def _basis(change: Change) -> str:
    if len(change.quotes) == 1 and change.basis != "unproven":
        return "It is one place, and reverting it makes the verification fail again."
    return _BASIS[change.basis]


def _place(quote: Quote, *, short: bool = True) -> str:
    span = f"line {quote.first}" if quote.first == quote.last else f"lines {quote.first}–{quote.last}"
    return f"`{quote.name}`, {span}" if short else f"`{quote.name}`, {span} after the change"


# --- rationale --------------------------------------------------------------------------------------

_SOURCES: Final = {
    "pytest": "pytest's own report", "unittest": "unittest's own report", "jest": "Jest's own report",
    "vitest": "Vitest's own report", "go": "Go's own test report", "cargo": "Cargo's own test report",
    "exit_code": "exit codes alone, so that no test is named by a runner",
}  # fmt: skip


def _rationale(request: DraftRequest, change: Change) -> str:
    evidence = request.evidence
    parts = [_what_turned(evidence)]
    tests = _turned(evidence)
    if tests:
        parts += ["From failing to passing:", _bulleted(tests)]
    parts += _what_each_hunk_turned(evidence, change)
    parts.append(_how_surely(evidence))
    parts.append(
        "*Written by learnd's extractive author: quoted from the run's prompt, its diff and its replays, without a "
        "model. Whether it holds beyond this change is for the reviewer to say.*"
    )
    return "\n\n".join(parts)


def _what_turned(evidence: Evidence) -> str:
    failed = [replay for replay in evidence.base if not replay.ok]
    passed = [replay for replay in evidence.snapshot if replay.ok]
    with_it = f"with the change it passed in {_all_of(passed, evidence.snapshot)}{_tests_run(passed)}"
    if evidence.verdict != "proven":
        because = f" ({evidence.cause.replace('_', ' ')})" if evidence.cause else ""
        return f"This change is **unproven**{because}: {with_it}, but nothing showed that it fails without."
    return f"Without the change the verification failed in {_all_of(failed, evidence.base)}; {with_it}."


def _tests_run(passed: Sequence[ReplayOutcome]) -> str:
    counts = passed[0].counts if passed else None
    if counts is None or not counts.passed:
        return ""
    skipped = f", {counts.skipped} skipped" if counts.skipped else ""
    return f" ({_count(counts.passed, 'test')} passed{skipped})"


def _what_each_hunk_turned(evidence: Evidence, change: Change) -> list[str]:
    """One line for each exercised hunk, where there are several to tell apart."""
    lines = []
    hunks = [hunk for hunk in evidence.hunks if hunk.verdict == "exercised"] if change.basis == "hunks" else []
    for hunk in hunks[:_TESTS_MAX] if len(hunks) > 1 else []:
        low, high = min(hunk.lines), max(hunk.lines)
        quote = next((q for q in change.quotes if q.path == hunk.file and q.first <= high and low <= q.last), None)
        if quote is not None:
            turned = f": {_count(len(hunk.turned), 'test')} failed again" if hunk.turned else ""
            lines.append(f"- {_place(quote)}{turned}")
    return (
        ["Each place reverted alone makes the verification fail again:", "\n".join(dict.fromkeys(lines))]
        if lines
        else []
    )


def _how_surely(evidence: Evidence) -> str:
    where = "in a sandbox" if evidence.isolation == "bubblewrap" else "**without a sandbox**"
    seeds = len({replay.hash_seed for replay in evidence.snapshot})
    sources = list(dict.fromkeys(_SOURCES[replay.source] for replay in (*evidence.snapshot, *evidence.base)))
    parts = [f"The replays ran {where}{f', each side under {seeds} hash seeds' if seeds > 1 else ''}."]
    if sources:
        parts.append(f"Results were read from {' and from '.join(sources)}.")
    if evidence.flake_upper_bound is not None:
        equal = min(len(evidence.base), len(evidence.snapshot))
        parts.append(
            f"{_count(equal, 'equal replay')} a side still leave room, at 95 % confidence, "
            f"for a flake rate of up to {evidence.flake_upper_bound * 100:.0f} %."
        )
    return " ".join(parts)


# --- wording ----------------------------------------------------------------------------------------


def _turned(evidence: Evidence) -> list[str]:
    """Tests that failed in every base replay and in no snapshot replay, where the runner named them."""
    if evidence.verdict != "proven" or not evidence.base:
        return []
    still = {test for replay in evidence.snapshot for test in replay.failing}
    always = set.intersection(*(set(replay.failing) for replay in evidence.base))
    return [test for test in named_tests(evidence) if test in always - still]


def _all_of(some: Sequence[ReplayOutcome], every: Sequence[ReplayOutcome]) -> str:
    if len(some) == len(every):
        return f"all {_count(len(every), 'replay')}" if len(every) > 1 else "its one replay"
    return f"{len(some)} of {_count(len(every), 'replay')}"


def _bulleted(tests: Sequence[str]) -> str:
    lines = [f"- {_code(test)}" for test in tests[:_TESTS_MAX]]
    if len(tests) > _TESTS_MAX:
        lines.append(f"- and {len(tests) - _TESTS_MAX} more")
    return "\n".join(lines)


def _code(text: str) -> str:
    """Inline code that its own backticks cannot end."""
    flat = " ".join(text.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", flat)), default=0))
    return f"{ticks}{flat}{ticks}" if len(ticks) == 1 else f"{ticks} {flat} {ticks}"


def _fence(info: str, lines: Sequence[str]) -> str:
    """A code block that no line of its content can close."""
    longest = max((len(run) for line in lines for run in re.findall(r"`{3,}", line)), default=2)
    mark = "`" * (longest + 1)
    return "\n".join([f"{mark}{info}", *lines, mark])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(items: Iterable[str], limit: int) -> list[str]:
    every = [" ".join(item.split()) for item in items]
    return [_cut(item, 160) for item in every[:limit]]


def _tags(change: Change, request: DraftRequest) -> tuple[str, ...]:
    endings = (PurePosixPath(path).suffix.lstrip(".").lower() for path in change.paths)
    languages = (_LANGUAGES[ending] for ending in endings if ending in _LANGUAGES)
    runners = (re.sub(r"[^a-z0-9]+", "-", command.runner.lower()).strip("-") for command in request.scenario.commands)
    return tuple(dict.fromkeys(tag for tag in (*languages, *runners) if tag))[:8]
