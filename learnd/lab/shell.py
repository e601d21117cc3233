"""Recorded shell lines, read as text: what simple commands stand in them, where each runs and with which variables.

Nothing is ever executed or expanded here. A line is split as a POSIX shell would split it; what only a running shell
could know (variables, command substitution, loops, here-documents) is not guessed: a word that depends on it is marked,
and a line whose structure depends on it is Unparseable. So a caller can trust every unmarked word to the letter.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace

MAX_LINE = 20_000
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_BRACES = re.compile(r"\{[^{}]*(,|\.\.)[^{}]*\}")
_OPERATORS = (
    "&>>",
    "<<<",
    "&&",
    "||",
    "|&",
    ";;",
    "&>",
    ">>",
    ">|",
    ">&",
    "<&",
    "<>",
    "<<",
    "|",
    ";",
    "&",
    "(",
    ")",
    ">",
    "<",
)
_REDIRECTS = frozenset({"&>>", "<<<", "&>", ">>", ">|", ">&", "<&", "<>", ">", "<"})
_STRUCTURE = frozenset(
    ("if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "!", "[[")
)


class Unparseable(Exception):
    """The line cannot be read without running it; the message says which construct."""


@dataclass(frozen=True)
class Word:
    """One word after quote removal. `expands` names the expansion a shell would still do, `glob` marks a pattern."""

    text: str
    expands: str | None = None
    glob: bool = False


@dataclass(frozen=True)
class SimpleCommand:
    """One command of a line: its words, and what stood before it.

    `cwd` is relative to where the line starts (or absolute), None where a `cd` before it cannot be known. `venv` is the
    environment that `source …/bin/activate` named. `joined` is the operator before it (`""` for the first), `ends` the
    one behind it: where that is a pipe, `||` or `;`, the line's exit code need not be the command's.
    """

    words: tuple[Word, ...]
    cwd: str | None = "."
    env: tuple[tuple[str, Word], ...] = ()
    venv: str | None = None
    joined: str = ""
    ends: str = ""
    background: bool = False


def simple_commands(line: str) -> tuple[SimpleCommand, ...]:
    """The simple commands of a line, in order, without the `cd`, `export` and `source` that only prepare them.

    Raises Unparseable.
    """
    return _Reader(_tokens(line)).commands()


@dataclass(frozen=True)
class _Operator:
    text: str


_Token = Word | _Operator


def _tokens(line: str) -> list[_Token]:
    if len(line) > MAX_LINE:
        raise Unparseable(f"the line is longer than {MAX_LINE} characters")
    if "\0" in line:
        raise Unparseable("the line holds a NUL character")
    tokens: list[_Token] = []
    at = 0
    while at < len(line):
        sign = line[at]
        if sign in " \t\r":
            at += 1
        elif line.startswith("\\\n", at):
            at += 2
        elif sign == "\n":
            tokens.append(_Operator(";"))
            at += 1
        elif sign == "#":
            end = line.find("\n", at)
            at = len(line) if end < 0 else end
        elif line.startswith(("<(", ">("), at):
            raise Unparseable("process substitution")
        elif operator := next((op for op in _OPERATORS if line.startswith(op, at)), None):
            if operator == "<<":
                raise Unparseable("a here-document")
            tokens.append(_Operator(operator))
            at += len(operator)
        else:
            word, end = _WordReader(line, at).read()
            # `2>` : the digits belong to the redirection, they are no argument
            if not (word.text.isdigit() and line[at:end].isdigit() and line[end : end + 1] in ("<", ">")):
                tokens.append(word)
            at = end
    return tokens


class _WordReader:
    """Reads one word, removing quotes and marking what a shell would expand."""

    def __init__(self, line: str, at: int) -> None:
        self.line, self.start, self.at = line, at, at
        self.text: list[str] = []
        self.bare: list[str] = []  # the unquoted part alone: only there do patterns, braces and ~ mean anything
        self.expands: str | None = None

    def read(self) -> tuple[Word, int]:
        line = self.line
        while self.at < len(line) and line[self.at] not in " \t\r\n;&|<>()":
            sign = line[self.at]
            if sign == "'":
                self._single()
            elif sign == '"':
                self._double()
            elif sign == "\\":
                self._escape()
            elif sign in "$`":
                self._expansion()
            else:
                self._take(sign)
        if self.at < len(line) and line[self.at] == "(" and self.at > self.start:
            raise Unparseable("a function definition or an array")
        return self._word(), self.at

    def _word(self) -> Word:
        bare = "".join(self.bare)
        if bare.startswith("~") and self.line[self.start] == "~":
            self.expands = self.expands or "home folder"
        if _BRACES.search(bare):
            self.expands = self.expands or "brace expansion"
        return Word("".join(self.text), self.expands, any(sign in bare for sign in "*?["))

    def _take(self, sign: str) -> None:
        self.text.append(sign)
        self.bare.append(sign)
        self.at += 1

    def _single(self) -> None:
        end = self.line.find("'", self.at + 1)
        if end < 0:
            raise Unparseable("a quote that is not closed")
        self.text.append(self.line[self.at + 1 : end])
        self.at = end + 1

    def _double(self) -> None:
        self.at += 1
        while self.at < len(self.line):
            sign = self.line[self.at]
            if sign == '"':
                self.at += 1
                return
            if sign == "\\" and self.line[self.at + 1 : self.at + 2] in ('"', "\\", "$", "`", "\n"):
                self.text.append(self.line[self.at + 1].replace("\n", ""))
                self.at += 2
            elif sign in "$`":
                self._expansion()
            else:
                self.text.append(sign)
                self.at += 1
        raise Unparseable("a quote that is not closed")

    def _escape(self) -> None:
        following = self.line[self.at + 1 : self.at + 2]
        if not following:
            raise Unparseable("a backslash at the end")
        if following != "\n":
            self.text.append(following)
        self.at += 2

    def _expansion(self) -> None:
        following = self.line[self.at + 1 : self.at + 2]
        if self.line[self.at] == "`":
            end = self.line.find("`", self.at + 1)
            if end < 0:
                raise Unparseable("a back-quote that is not closed")
            self.expands = "command substitution"
        elif following in ("(", "{"):
            end = self._closing(self.at + 1)
            self.expands = "command substitution" if following == "(" else "a variable"
        elif following == "'":
            raise Unparseable("a $'…' string")
        elif following and (following.isalnum() or following in "_@*#?$!-"):
            end = self.at + 1
            self.expands = "a variable"
        else:  # a lone dollar, as at the end of a regular expression
            self._take("$")
            return
        self.text.append(self.line[self.at : end + 1])
        self.at = end + 1

    def _closing(self, at: int) -> int:
        opening = self.line[at]
        closing = {"(": ")", "{": "}"}[opening]
        depth = 0
        for position in range(at, len(self.line)):
            depth += {opening: 1, closing: -1}.get(self.line[position], 0)
            if depth == 0:
                return position
        raise Unparseable("an expansion that is not closed")


class _Reader:
    """Folds tokens into simple commands, following `cd`, `export`, `source` and subshells as far as text allows."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.done: list[SimpleCommand] = []
        self.here = SimpleCommand(())
        self.outer: list[SimpleCommand] = []
        self.joined = ""

    def commands(self) -> tuple[SimpleCommand, ...]:
        words: list[Word] = []
        skip_word = False
        for token in self.tokens:
            if isinstance(token, Word):
                if not skip_word:
                    words.append(token)
                skip_word = False
            elif skip_word:
                raise Unparseable("a redirection without a file")
            elif token.text in _REDIRECTS:
                skip_word = True
            else:
                self._operator(token.text, words)
                words = []
        if skip_word:
            raise Unparseable("a redirection without a file")
        self._end(words, "")
        if self.outer:
            raise Unparseable("a parenthesis that is not closed")
        return tuple(self.done)

    def _operator(self, operator: str, words: list[Word]) -> None:
        if operator == ";;":
            raise Unparseable("a case")
        if operator == "(":
            if words:
                raise Unparseable("a function definition or an array")
            self.outer.append(self.here)
            return
        self._end(words, operator)
        if operator == ")":
            if not self.outer:
                raise Unparseable("a parenthesis that is not opened")
            self.here = self.outer.pop()
        else:
            self.joined = operator

    def _end(self, words: list[Word], operator: str) -> None:
        words = [word for word in words if word not in (Word("{"), Word("}"))]
        assigned: list[tuple[str, Word]] = []
        while words and (name := _ASSIGNMENT.match(words[0].text)):
            assigned.append(_assignment(name, words.pop(0)))
        if not words:
            return
        first = words[0]
        if first.text in _STRUCTURE and first.expands is None:
            raise Unparseable(f"the shell construct `{first.text}`")
        if not self._prepares(words):
            env = (*self.here.env, *assigned)
            self.done.append(
                replace(
                    self.here,
                    words=tuple(words),
                    env=env,
                    joined=self.joined,
                    ends=operator,
                    background=operator == "&",
                )
            )

    def _prepares(self, words: list[Word]) -> bool:
        """Whether the command only sets the stage for the next; then `here` is what it leaves."""
        name, arguments = words[0].text, words[1:]
        if name in ("cd", "pushd", "popd"):
            self.here = replace(self.here, cwd=_changed(self.here.cwd, name, arguments))
        elif name == "export":
            named = [(_ASSIGNMENT.match(word.text), word) for word in arguments]
            env = [_assignment(match, word) for match, word in named if match]
            self.here = replace(self.here, env=(*self.here.env, *env))
        elif name in ("source", ".") and arguments and re.search(r"(^|/)bin/activate$", arguments[0].text):
            venv = None if arguments[0].expands else posixpath.dirname(posixpath.dirname(arguments[0].text)) or "."
            self.here = replace(self.here, venv=venv)
        elif name in ("set", "shopt", "unset", "umask", "ulimit", "trap", "alias", "wait", ":"):
            pass
        else:
            return False
        return True


def _assignment(name: re.Match[str], word: Word) -> tuple[str, Word]:
    return name.group(1), replace(word, text=word.text[name.end() :], glob=False)


def _changed(cwd: str | None, verb: str, arguments: list[Word]) -> str | None:
    paths = [word for word in arguments if word.text not in ("--", "-P", "-L")]
    if verb == "popd" or len(paths) != 1 or cwd is None:
        return None
    target = paths[0]
    if target.expands or target.glob or target.text.startswith("-"):
        return None
    return posixpath.normpath(posixpath.join(cwd, target.text))
