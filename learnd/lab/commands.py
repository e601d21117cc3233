"""What a recorded line verifies: its class, its runner and the words to run, or a sentence saying why it is left alone.

The answer is made from text only; nothing is executed. A line is taken apart (`cd x && FOO=1 pytest -q | tee log` is
`pytest -q` in `x` with FOO), so that what is replayed later needs no shell: an exit code hidden by a pipe or by
`|| true` counts again. What a shell would still have to expand is refused, except patterns, which the tree answers.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from events.values import CommandClass
from learnd.lab.programs import ORDER
from learnd.lab.runners import Judged, ReadFile, Scope, Unfit, judge
from learnd.lab.shell import SimpleCommand, Unparseable, Word, simple_commands

_OWN_VARIABLES = re.compile(
    r"PATH|HOME|SHELL|ENV|BASH_ENV|IFS|PWD|OLDPWD|TMPDIR|LD_.*|DYLD_.*|PYTHONHOME|PYTHONSTARTUP|PYTHONHASHSEED"
    r"|NODE_OPTIONS|GIT_.*|LEARND_.*|LEARNING_.*|OPENAI_.*|CODEX_.*|XDG_.*|USER|LOGNAME"
)
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|PRIVATE|AUTH|DSN", re.IGNORECASE)
_PYTHON_TOOL = re.compile(
    r"(python|pypy)(\d+(\.\d+)*)?|pytest|py\.test|tox|nox|coverage|ruff|mypy|flake8|pylint|pre-commit"
)
_MAX_MATCHES = 200
_PIPE = "run without the pipe behind it, which hid its exit code"
_HIDES = {"|": _PIPE, "|&": _PIPE, "||": "run without the `||` behind it, which forgave its failure"}
"""Operators behind a command that stand between its exit code and the line's."""


@dataclass(frozen=True)
class Classified:
    """One command taken from a recorded line.

    `argv` is what to run, without a shell, in `cwd` (relative to where the line began, or absolute). With `why_not` set
    nothing may be run, `cls` and `runner` are None. `needs` names services that the line shows the run had.
    `alone` says what of the line hid the command's exit code and is left out, so that it counts again.
    """

    argv: tuple[str, ...]
    cls: CommandClass | None = None
    runner: str | None = None
    cwd: str = "."
    env: dict[str, str] = field(default_factory=dict)
    why_not: str | None = None
    needs: tuple[str, ...] = ()
    silent: bool = False
    alone: str = ""


def classify(
    line_or_argv: str | Sequence[str], *, read: ReadFile | None = None, files: Collection[str] = (), cwd: str = "."
) -> Classified:
    """The part of a line that verifies most (test, then build, then lint; the last of equals), or why none does.

    `read` and `files` show the tree (paths relative to the root): package.json, Makefile, what a pattern matches. `cwd`
    is where the line starts, relative to the root. Never raises.
    """
    found = parts(line_or_argv, read=read, files=files, cwd=cwd)
    fit = [part for part in found if part.cls]
    if fit:
        return min(reversed(fit), key=lambda part: ORDER.index(part.cls or "lint"))
    telling = [part for part in found if not part.silent]
    return (telling or list(found))[0]


def parts(
    line_or_argv: str | Sequence[str], *, read: ReadFile | None = None, files: Collection[str] = (), cwd: str = "."
) -> tuple[Classified, ...]:
    """Every command of a line, in order, each classified; at least one. Never raises."""
    return _Line(read, files, cwd).parts(line_or_argv)


class _Line:
    """Takes one line apart against one tree."""

    def __init__(self, read: ReadFile | None, files: Collection[str], cwd: str) -> None:
        self.read, self.files, self.start = read, files, cwd

    def parts(self, line_or_argv: str | Sequence[str], depth: int = 0) -> tuple[Classified, ...]:
        try:
            commands = self._simple(line_or_argv)
        except Unparseable as error:
            text = (line_or_argv,) if isinstance(line_or_argv, str) else tuple(line_or_argv)
            return (Classified(text, why_not=f"the line cannot be read without running it: {error}"),)
        found: list[Classified] = []
        for command in commands:
            found += self._command(command, depth)
        if not found:
            return (Classified((), why_not="there is no command", silent=True),)
        needs = tuple(dict.fromkeys(need for part in found for need in part.needs))
        if any(command.background for command in commands):
            needs = (*needs, "a process in the background")
        return tuple(replace(part, needs=needs) for part in found)

    def _simple(self, line_or_argv: str | Sequence[str]) -> tuple[SimpleCommand, ...]:
        if isinstance(line_or_argv, str):
            return simple_commands(line_or_argv)
        if not line_or_argv:
            return ()
        if any("\0" in word for word in line_or_argv):
            raise Unparseable("a word holds a NUL character")
        return (SimpleCommand(tuple(Word(word) for word in line_or_argv)),)

    def _command(self, command: SimpleCommand, depth: int) -> tuple[Classified, ...]:
        words, assigned = _unwrapped(list(command.words))
        command = replace(command, words=tuple(words), env=(*command.env, *assigned))
        inner = _shell_line(words)
        if inner is not None and depth < 4:
            if inner.expands:
                return (_refused(command, f"`{inner.text[:60]}` is expanded by the outer shell ({inner.expands})"),)
            return tuple(_within(part, command) for part in self.parts(inner.text, depth + 1))
        return (self._one(command),)

    def _one(self, command: SimpleCommand) -> Classified:
        if command.background:
            return _refused(command, "it runs in the background")
        if not command.words:
            return _refused(command, "there is no command", silent=True)
        texts = [word.text for word in command.words]
        judged = judge(texts, self._scope(command.cwd or "."))
        if isinstance(judged, Unfit):
            return replace(_refused(command, judged.why, judged.silent), needs=(judged.needs,) if judged.needs else ())
        unknown = next((word for word in command.words if word.expands), None)
        if unknown is not None:
            return _refused(command, f"only a shell could expand `{unknown.text[:60]}` ({unknown.expands})")
        if command.cwd is None:
            return _refused(command, "the folder it ran in is not known: a `cd` before it cannot be followed")
        argv: list[str] = []
        for word in command.words:
            argv += self._matches(word, command.cwd) if word.glob else [word.text]
        if command.venv is not None and _PYTHON_TOOL.fullmatch(argv[0]):
            argv[0] = (
                posixpath.relpath(posixpath.join(command.venv, "bin", argv[0]), command.cwd)
                if (not command.venv.startswith("/"))
                else posixpath.join(command.venv, "bin", argv[0])
            )
        return Classified(
            tuple(argv),
            judged.cls,
            judged.runner,
            command.cwd,
            _environment(command),
            alone=_HIDES.get(command.ends, ""),
        )

    def _scope(self, cwd: str) -> Scope:
        return Scope(posixpath.normpath(posixpath.join(self.start, cwd)), self.read, 0, self._judge_line, self.files)

    def _judge_line(self, line: str, scope: Scope) -> list[Judged]:
        """What a script's line consists of, for runners that stand in front of one (npm, bash)."""
        try:
            commands = simple_commands(line)
        except Unparseable as error:
            return [Unfit(str(error))]
        found: list[Judged] = []
        for command in commands:
            words, _ = _unwrapped(list(command.words))
            found.append(judge([word.text for word in words], scope.at(command.cwd or ".")))
        return found

    def _matches(self, word: Word, cwd: str) -> list[str]:
        """What a pattern stands for in the tree; itself where nothing matches, as in a shell."""
        here = posixpath.normpath(posixpath.join(self.start, cwd))
        pattern = posixpath.normpath(posixpath.join(here, word.text))
        depth = pattern.count("/")
        found = sorted(
            posixpath.relpath(path, here)
            for path in self.files
            if path.count("/") == depth and fnmatch.fnmatchcase(path, pattern)
        )
        return found[:_MAX_MATCHES] or [word.text]


def _unwrapped(words: list[Word]) -> tuple[list[Word], tuple[tuple[str, Word], ...]]:
    """The command without `time`, `env`, `timeout` and their like, and the variables `env` set."""
    assigned: list[tuple[str, Word]] = []
    while words:
        name = posixpath.basename(words[0].text)
        if name in ("time", "nohup", "command", "exec", "nice", "ionice", "stdbuf", "setsid", "builtin", "eatmydata"):
            words = _without_flags(words[1:], ("-n", "-c") if name in ("nice", "ionice") else ())
        elif name in ("timeout", "gtimeout"):
            words = _without_flags(words[1:], ("-k", "--kill-after", "-s", "--signal"))[1:]
        elif name == "xvfb-run":
            words = _without_flags(words[1:], ("-s", "--server-args", "-n", "--server-num", "-e", "-f", "-p", "-w"))
        elif name == "dotenv":
            words = _without_flags(words[1:], ("-e", "-f", "--file"))
            words = words[1:] if words and words[0].text in ("run", "--") else words
        elif name == "env":
            words = _without_flags(words[1:], ("-u", "--unset", "-C"))
            while words and (match := re.match(r"([A-Za-z_]\w*)=", words[0].text)):
                assigned.append((match.group(1), replace(words[0], text=words[0].text[match.end() :])))
                words = words[1:]
        else:
            break
    return words, tuple(assigned)


def _without_flags(words: list[Word], with_value: tuple[str, ...]) -> list[Word]:
    while words and words[0].text.startswith("-"):
        takes = words[0].text in with_value
        words = words[2:] if takes else words[1:]
    return words


def _shell_line(words: list[Word]) -> Word | None:
    """LINE of `bash -lc LINE`; None for anything else."""
    if not words or posixpath.basename(words[0].text) not in ("bash", "sh", "zsh", "dash"):
        return None
    for at, word in enumerate(words[1:], start=1):
        if re.fullmatch(r"-[a-z]*c", word.text) and len(words) > at + 1:
            return words[at + 1]
        if not word.text.startswith("-") and words[at - 1].text not in ("-o", "-eo", "-euo"):
            return None
    return None


def _within(part: Classified, outer: SimpleCommand) -> Classified:
    """A part of an inner line, with what stood around the inner shell."""
    if part.cls is None:
        return part
    if outer.background:
        return _refused(outer, "it runs in the background")
    if outer.cwd is None:
        return _refused(outer, "the folder it ran in is not known: a `cd` before it cannot be followed")
    cwd = posixpath.normpath(posixpath.join(outer.cwd, part.cwd))
    return replace(part, cwd=cwd, env={**_environment(outer), **part.env})


def _refused(command: SimpleCommand, why: str, silent: bool = False) -> Classified:
    return Classified(tuple(word.text for word in command.words), why_not=why, silent=silent)


def _environment(command: SimpleCommand) -> dict[str, str]:
    """The variables set in front of a command, without those that are the sandbox's own or secret."""
    return {
        name: word.text
        for name, word in command.env
        if not word.expands and not _OWN_VARIABLES.fullmatch(name) and not _secret(name, word.text)
    }


def _secret(name: str, value: str) -> bool:
    return bool(_SECRET_NAME.search(name)) or bool(re.search(r"://[^/\s@]*:[^/\s@]*@", value))
