"""What the run was asked to do, from the first source that says so.

In the order of the manifests' conventions: the path the producer's queue names; `prompt.md` or `prompt.txt` beside the
manifest; a task file of the repository named after the task; the messages of the commits the run made; the titles of
the pipeline and its commands. A file is read only inside the repository, never through a link that leaves it, and of
a long one the first 64 KB count.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from learnd.manifest.inside import Folder, NotAFile, OutsideRepository, TooLarge, locate

PROMPT_MAX = 64 << 10
"""Bytes of a prompt that are used."""

_FILE_MAX = 4 << 20
_TASK_FOLDERS = ("tasks", ".agent/task")
_CRITERIA = re.compile(
    r"(?i)\b(acceptance(\s+(criteria|tests?))?|validation|verification|definition\s+of\s+done|success\s+criteria"
    r"|how\s+to\s+(verify|validate|test)|test\s+plan)\b"
)
_HEADING = re.compile(r"^(?P<hashes>#{1,6})\s+(?P<title>.+?)\s*#*$")
_LABEL = re.compile(r"^\s*(?:\*\*|__)?(?P<title>[A-Z][^.:*_]{2,60}?)(?:\*\*|__)?:(?:\*\*|__)?\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")


@dataclass(frozen=True)
class Prompt:
    """A task as it was given. `source` is a path relative to the repository, `commit message` or `titles`.

    `refused` names sources that were there and could not be used, with the reason.
    """

    text: str
    source: str
    refused: tuple[str, ...] = ()


def find_prompt(
    *,
    repo: Path,
    run_dir: Path,
    task_id: str,
    prompt_path: str | None,
    commit_messages: Sequence[str],
    titles: Sequence[str],
) -> Prompt | None:
    """The prompt of a run; None when no source says anything. `prompt_path` is what the manifest's queue names."""
    refused: list[str] = []
    for path in _files(repo, run_dir, task_id, prompt_path):
        try:
            text = _read(path, repo)
        except FileNotFoundError:
            continue
        except (OutsideRepository, NotAFile, TooLarge, OSError) as error:
            refused.append(f"{path}: {error}")
            continue
        if text.strip():
            return _prompt(text, _relative(path, repo), refused)
    for texts, source in ((commit_messages, "commit message"), (titles, "titles")):
        text = "\n\n".join(text.strip() for text in texts if text.strip())
        if text:
            return _prompt(text, source, refused)
    return None


def _files(repo: Path, run_dir: Path, task_id: str, prompt_path: str | None) -> Iterator[Path]:
    if prompt_path:
        yield repo / prompt_path
    yield run_dir / "prompt.md"
    yield run_dir / "prompt.txt"
    pattern = f"*{_literal(task_id)}*.md"
    for folder in _TASK_FOLDERS:
        wanted = pattern if folder == "tasks" else pattern[1:]
        try:
            located = locate(Path(folder), repo)
            with Folder.open(located.repo, located.real) as opened:
                names = opened.names()
        except (OutsideRepository, OSError):
            continue
        # The plainest name first: `tasks-0001.md` before `tasks-0001-notes.md`.
        for name in sorted(fnmatch.filter(names, wanted), key=lambda name: (len(name), name)):
            yield repo / folder / name


def _literal(task_id: str) -> str:
    """A task's id for a file pattern: what would be a wildcard stands for itself."""
    return re.sub(r"([*?[])", r"[\1]", task_id)


def _read(path: Path, repo: Path) -> str:
    located = locate(path, repo)
    parent, name = os.path.split(located.real)
    with Folder.open(located.repo, parent) as folder:
        data, _ = folder.read(name, _FILE_MAX)
    return data.decode("utf-8", "replace")


def _relative(path: Path, repo: Path) -> str:
    return str(path.relative_to(repo)) if path.is_relative_to(repo) else str(path)


def _prompt(text: str, source: str, refused: list[str]) -> Prompt:
    cut = text.encode()[:PROMPT_MAX].decode("utf-8", "ignore").strip()
    return Prompt(cut, source, tuple(refused))


def acceptance_criteria(text: str) -> str | None:
    """The sections of a Markdown text whose heading announces criteria, each up to the next heading of its level."""
    found: list[str] = []
    level = 0
    fenced = False
    for line in text.splitlines():
        heading = None if fenced else _heading(line)
        if _FENCE.match(line):
            fenced = not fenced
        if heading is not None:
            depth, title = heading
            if _CRITERIA.search(title) and (not level or depth <= level):
                level = depth
            elif level and depth <= level:
                level = 0
        if level:
            found.append(line)
    body = "\n".join(found).strip()
    has_body = any(line.strip() and _heading(line) is None for line in found)
    return body if has_body else None


def _heading(line: str) -> tuple[int, str] | None:
    """Level and title of a heading; a line that is only a label (`**Validation:**`) ranks below every heading."""
    match = _HEADING.match(line)
    if match:
        return len(match["hashes"]), match["title"]
    label = _LABEL.match(line)
    return (7, label["title"]) if label else None
