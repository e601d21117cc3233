"""`context`: the few active patterns that matter for a task, as an agent's hook hands them on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from learnd.ids import short
from learnd.serving.answers import MOST, Answer, Given, Library, NoRepository, library_at
from learnd.serving.frame import NOTICE, framed
from learnd.verbs.reading import Reading, reading
from learnd.verbs.serving import note_use_at
from learnd.verbs.terminal import USAGE, Stop, note, print_json, say

LONGEST_QUESTION = 256 << 10
"""Bytes of standard input that are read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as typed."""

    question: str | None
    run: str | None
    limit: int
    repo: Path


def context(log: Path | None, wanted: Wanted, *, as_json: bool) -> int:
    """Print what matters for a question, or, without one, what there is.

    JSON: `{patterns: [{id, title, evidence, proof, shared, score, job, run, manifest, repository, file, digest, text}],
    held_back: [{id, reason}], asked, active, notice, use}`; `use` is `noted`, or `not noted` where neither the state
    folder can be written nor a daemon answers.
    """
    if wanted.question is not None and wanted.run is not None:
        raise Stop("--for and --run do not go together: a run brings its own question. Next: one of them", USAGE)
    with reading(log) as book:
        library = _library(book, wanted.repo)
        if wanted.question is None and wanted.run is None:
            return _list(library, as_json=as_json)
        run, question = _question(book, library, wanted)
        answer = library.answer(question, min(wanted.limit, MOST))
    noted = note_use_at(book.place, [each.pattern.id for each in answer.given], run)
    _print(answer, as_json=as_json, noted=noted)
    return 0


def _library(book: Reading, repo: Path) -> Library:
    try:
        return library_at(book.views, book.rows, repo)
    except NoRepository as error:
        raise Stop(str(error)) from error


def _question(book: Reading, library: Library, wanted: Wanted) -> tuple[str | None, str]:
    """The run, if one was named, and the question."""
    if wanted.run is None:
        return None, _typed(wanted.question or "")
    from learnd.serving.runs import NoSuchRun, asked_of

    try:
        asked = asked_of(book.views, library.work_tree, wanted.run)
    except NoSuchRun as error:
        raise Stop(str(error)) from error
    return asked.run, asked.question


def _typed(question: str) -> str:
    """`-` is standard input: the question, or a JSON object that has it as `prompt`, as agents' hooks send it."""
    if question != "-":
        return question
    text = sys.stdin.buffer.read(LONGEST_QUESTION).decode("utf-8", "replace")
    try:
        told = json.loads(text)
    except ValueError:
        return text
    prompt = told.get("prompt") if isinstance(told, dict) else None
    return prompt if isinstance(prompt, str) else text


def _print(answer: Answer, *, as_json: bool, noted: bool) -> None:
    if as_json:
        told: dict[str, object] = {"patterns": [_as_json(each) for each in answer.given]}
        told |= {"held_back": [asdict(each) for each in answer.held], "asked": answer.asked, "active": answer.active}
        print_json({**told, "notice": NOTICE, "use": "noted" if noted else "not noted"})
        return
    sys.stdout.write(framed([(each.pattern, each.shared) for each in answer.given], answer.active))
    if not answer.given:
        note(nothing(answer))
    for held in answer.held:
        note(f"pattern {short(held.id)} is not served: {held.reason}. Next: learnd review {short(held.id)}")
    if not noted:
        note("this use is not recorded: the state folder cannot be written here, and no daemon answers")


def nothing(answer: Answer) -> str:
    """Why nothing is shown."""
    if not answer.active:
        return "this repository has no active pattern. Next: learnd review"
    if not answer.asked:
        return "the question has no word that tells one pattern from another. Next: say what it is about"
    count = "the one active pattern shares" if answer.active == 1 else f"none of {answer.active} active patterns shares"
    few = "too little" if answer.active == 1 else "enough"
    return f"{count} {few} with the question"


def _as_json(given: Given) -> dict[str, object]:
    each = given.pattern
    return {
        "id": each.id, "title": each.title, "evidence": each.evidence,
        "proof": asdict(each.proof) if each.proof else None, "shared": given.shared, "score": round(given.score, 6),
        "job": each.job, "run": each.run, "manifest": each.manifest, "repository": each.repo, "file": each.file,
        "digest": each.digest, "text": each.body,
    }  # fmt: skip


def _list(library: Library, *, as_json: bool) -> int:
    """What there is, without its texts: nobody is served by that."""
    given, held = library.everything()
    if as_json:
        rows = [{"id": each.id, "title": each.title, "evidence": each.evidence, "file": each.file} for each in given]
        print_json({"patterns": rows, "held_back": [asdict(each) for each in held], "active": len(given) + len(held)})
        return 0
    for each in given:
        say(f"{short(each.id)}  {each.title}  ({each.evidence})")
    for back in held:
        note(f"pattern {short(back.id)} is not served: {back.reason}. Next: learnd review {short(back.id)}")
    if not given and not held:
        note("this repository has no active pattern. Next: learnd review")
    else:
        note('Next: learnd context --for "what you are about to do"')
    return 0
