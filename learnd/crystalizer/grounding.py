"""Does a text name anything that the evidence did not exercise?

What may be named is a fixed corpus: the quotable hunks of the change with their context, the hunks of the test
files that a replay ran, the scenario's commands and the ids of its tests. Every path, every `file:line`, every
version and option, and every name that can only be code (in backticks, dotted, called, snake_case, CamelCase) must
stand there; a programming language's own words are nobody's claim. Names of the unchanged lines around the exercised
ones may be named too. What only a hunk that was not exercised says is a claim of its own kind: that is citing it.

Invariants:

- An ungrounded claim is never repaired here; it is returned, and the caller drops or quarantines.
- Prose is read strictly where it looks like code and not at all where it does not, so that a sound text passes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

from events.values import Evidence, Scenario
from learnd.crystalizer.change import Change, commands, exercised_change, named_tests, surroundings
from learnd.crystalizer.claims import claims
from learnd.crystalizer.draft import plain
from learnd.crystalizer.redact import generalise
from learnd.crystalizer.topic import Form, is_at_home, is_beside, is_beside_as_label, own_words, share, stems
from learnd.crystalizer.vocabulary import FOLDERS, LANGUAGE, PROPER
from learnd.library.prose import SPAN, blocks, sentences, unmarked


@dataclass(frozen=True)
class Claim:
    """Something that `text` names and the evidence does not know. `why` is a clause for a person."""

    kind: Literal[
        "path", "lines", "symbol", "hunk", "version", "command", "overclaim", "language", "person", "topic", "order"
    ]
    text: str
    why: str


_EXTENSIONS: Final = (
    "py|pyi|pyx|js|jsx|mjs|cjs|ts|tsx|mts|cts|vue|svelte|go|rs|rb|java|kt|kts|scala|c|h|cc|cpp|cxx|hpp|hh|cs|fs|swift|php|"
    "pl|pm|lua|sh|bash|zsh|fish|ps1|sql|r|jl|ex|exs|erl|hs|ml|clj|dart|zig|nim|toml|yaml|yml|json|jsonl|ndjson|json5|ini|cfg|"
    "conf|env|lock|txt|md|rst|adoc|csv|tsv|xml|html|htm|css|scss|sass|less|proto|graphql|tf|ipynb|patch|diff|log|db|sqlite|"
    "gradle|mk|cmake|mod|sum|service|plist|properties|tmpl|j2|png|jpg|svg|gif|pdf|zip|gz|tar|whl|so|dll|exe|bin"
)
_FILES: Final = "Makefile|Dockerfile|Jenkinsfile|Procfile|Gemfile|Rakefile|Vagrantfile|CMakeLists|justfile"
_PART: Final = r"[\w@+~.-]+"
_PATH = re.compile(
    rf"(?<![\w./@:+~-])(?P<path>(?:~?/|\.{{1,2}}/)?(?:{_PART}/)*"
    rf"(?:[\w@+~-][\w@+~.-]*\.(?:{_EXTENSIONS})|{_FILES}|\.[a-z][\w.-]*(?:rc|ignore|env|lock|config))(?![\w/]))"
    r"(?::(?P<first>\d+)(?:[-–](?P<last>\d+))?(?::\d+)?)?"
)
_SLASHED = re.compile(
    rf"(?<![\w./@:+~\\<-])(?P<path>(?:~?/|\.{{1,2}}/)?{_PART}(?:/{_PART})+/?|(?:~?/|\.{{1,2}}/){_PART}/?)"
)
_CALL = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*)\(")
_DOTTED = re.compile(r"(?<![\w./@-])(?P<name>[A-Za-z_]\w+(?:(?:\.|::|->)[A-Za-z_]\w+)+)(?![\w/@-])")
_SNAKE = re.compile(r"(?<![\w./$-])(?P<name>_*[A-Za-z][A-Za-z0-9]*(?:_+[A-Za-z0-9]+)+_*)(?![\w/])")
_CAMEL = re.compile(r"(?<![\w./$-])(?P<name>[A-Za-z][A-Za-z0-9]*[a-z0-9][A-Z][A-Za-z0-9]*)(?![\w/])")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_LINES = re.compile(r"(?<![\w.])(?:[Ll]ines? |#L)(?P<first>\d+)(?:\s?[-–]\s?L?(?P<last>\d+)| to (?P<end>\d+))?")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")

_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_SMALL: Final = frozenset(
    ["a", "an", "the", "to", "of", "off", "on", "in", "out", "of", "up", "by", "be", "and", "or", "it", "its"]
)

_METHOD = re.compile(r"(?:^|(?<=[\s)\]}\"'?!]))(?:\?\.|\.|->|::)(?=[A-Za-z_])")
"""What stands before a name that is called on the result of something, or on the line above."""
_CODED_SIGN = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[nrt0])")
"""Few are signs that the text is about; many in a row are encoded matter, which the danger gate knows."""
_RAISED = re.compile(r"\b(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Warning|Timeout|Interrupt|Violation|Fault|NotFound)\b")
"""What the base was seen to raise may be named: that is what the replays showed."""
_PROPER_DOTTED = re.compile(r"(?i)^(?:node|vue|next|nuxt|react|express|three|d3|asp|socket)\.(?:js|net|io)$|^\.?net$")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_EMPHASIS = re.compile(r"(?<![\w`])_+(?=\w)|(?<=\w)_+(?![\w`])")
"""Underscores at the edge of a word: Markdown's emphasis, or a name's, which the corpus knows without them too."""
_COMMENT = re.compile(r"(?:^|\s)(?:#+|//+|--|;+|%+|/?\*+|<!--)\s*(?P<said>\S.*)")
_FENCE = re.compile(r"^(?P<indent> {0,3}(?:> ?)*)(?P<mark>`{3,}|~{3,})(?P<info>.*)$")


@dataclass(frozen=True)
class Grounding:
    """What the evidence exercised, as a corpus to hold a text against.

    `paths` are the files that may be named, `lines` the exercised ranges of the quotable ones, `symbols` every
    word of the corpus, `corpus` its text, `literals` the strings of its code, `typed` its
    lines as bare words, `stems` its words as prose has them, `reports` what the
    base's failures said. `unexercised` are the words and paths of the rest of the
    change.
    """

    paths: frozenset[str]
    symbols: frozenset[str]
    lines: Mapping[str, tuple[tuple[int, int], ...]]
    corpus: str
    literals: str = ""
    typed: str = ""
    reports: str = ""
    stems: frozenset[str] = frozenset()
    unexercised: frozenset[str] = frozenset()

    @classmethod
    def of(cls, evidence: Evidence, diff: bytes, scenario: Scenario) -> Grounding:
        """Raises DiffUnreadable (of `change`)."""
        change = exercised_change(diff, evidence, scenario)
        near, rest = surroundings(diff, change)
        known = cls.of_change(change, evidence, scenario)
        symbols = known.symbols | set(_WORD.findall("\n".join(near)))
        unexercised = {word for line in rest for word in (line, *_WORD.findall(line))} - symbols - known.paths
        return replace(known, symbols=symbols, unexercised=frozenset(unexercised))

    @classmethod
    def of_change(cls, change: Change, evidence: Evidence, scenario: Scenario) -> Grounding:
        quotes = (*change.quotes, *change.tests)
        code = [line[1:] for quote in quotes for line in quote.lines]
        said = [*commands(scenario), *named_tests(evidence)]
        paths = {quote.path for quote in quotes} | {path for text in said for path in _paths_in(text)}
        lines: dict[str, tuple[tuple[int, int], ...]] = {}
        for quote in quotes:
            lines[quote.path] = (*lines.get(quote.path, ()), (quote.first, quote.last))
        raw = "\n".join([*code, *said, *sorted(paths), *(quote.name for quote in quotes)])
        # A draft says these things as `safe` leaves them.
        corpus = f"{raw}\n{generalise(plain(raw))}"
        words = {form for word in _WORD.findall(corpus) for form in (word, word.strip("_"), word.strip("$"))}
        raised = {name for replay in evidence.base for name in _RAISED.findall(replay.detail)}
        words |= {part for name in raised for part in name.split(".")}
        literals = "\n".join(match[0][1:-1] for line in code for match in _LITERAL.finditer(line))
        typed = "".join(f" {' '.join(_bare(line).split())} \n" for line in corpus.split("\n"))
        reports = "\n".join(replay.detail for replay in evidence.base)
        return cls(frozenset(paths), frozenset(words), lines, corpus, literals, typed, reports, stems(corpus))

    def ungrounded(self, text: str) -> list[Claim]:
        """Every claim of a Markdown `text` that the evidence does not carry, in order, each once."""
        found: list[Claim] = []
        for fenced, part in _parts(text):
            found.extend(self._in_code_block(part) if fenced else self._in_prose(part))
        return list(dict.fromkeys(found))

    def beside(self, text: str, *, heading: bool = False) -> list[Claim]:
        """The sentences of a Markdown `text`, and comments of code that the change lacks, which are not about it."""
        said: list[tuple[Form, str]] = []
        for block in blocks(text):
            if block.kind == "code":
                said += [("comment", comment) for comment in self._new_comments(block.text)]
            else:
                said += [("heading" if heading else "sentence", part) for part in sentences(unmarked(block.text))]
        return [
            Claim("topic", " ".join(part.split())[:120], "it is not about the exercised change")
            for form, part in said
            if is_beside(part, self.words, self._stands, form)
        ]

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of all that was seen: of the change, its tests and commands, and of what failed on the base."""
        return self.stems | stems(self.reports)

    def stands(self, text: str) -> bool:
        """Whether `text` occurs in the corpus, bounded by what is no part of a word.

        Of several words only they and their order count, not what separates them: a command stands where its list of
        arguments does.
        """
        if self._stands(text):
            return True
        words = _bare(text).split()
        return len(words) > 1 and f" {' '.join(words)} " in self.typed

    def knows(self, word: str) -> bool:
        """Whether `word` is a name of the exercised change, in any case of its letters."""
        return word in self.symbols or word.lower() in self.stems

    def was_seen(self, text: str) -> bool:
        """Whether `text` stands in the corpus, or in what the base's failures said."""
        return self.stands(text) or (len(text) > 2 and text in self.reports)

    def is_about(self, sentence: str) -> bool:
        """Whether a sentence is about the change: a third of its words are, a fifth where that is work around code."""
        return share(sentence, self.words, self.was_seen) >= (0.2 if is_at_home(self.words) else 0.34)

    def is_beside_as_label(self, tag: str) -> bool:
        """Whether a tag labels something else than the change."""
        return is_beside_as_label(tag, self.words)

    def is_told_by(self, text: str) -> bool:
        """Whether a text says anything of the change but where it is: at least two words or pieces of it."""
        plain = _SLASHED.sub(" ", _PATH.sub(" ", text))
        return own_words(plain, self.words, self.was_seen) >= 2

    def is_literal(self, text: str) -> bool:
        """Whether `text` stands within a string of the exercised code."""
        return bool(text.strip()) and text.strip() in self.literals

    def speaks_of(self, words: str) -> bool:
        """Whether the change has each of these words in any form: `Approved` speaks of approving."""
        return all(stem in self.stems for stem in stems(words, least=2) if stem not in _SMALL)

    # --- parts of a text ---

    def _in_prose(self, text: str) -> Iterator[Claim]:
        for match in SPAN.finditer(text):
            yield from self._in_span(match["code"].strip())
        # What spans said is judged; a blank keeps words apart.
        prose = SPAN.sub(" ", text)
        prose = re.sub(r"https?://\S+", " ", html.unescape(prose))
        prose = _EMPHASIS.sub(" ", _ESCAPE.sub(r"\1", prose))
        for kind, words, why in claims(prose, self.stands, self.corpus):
            yield Claim(kind, words, why)
        prose = yield from self._take_paths(prose, certain=False)
        prose = _METHOD.sub(" ", prose)
        yield from self._line_ranges(prose, text)
        for shape in (_CALL, _DOTTED, _SNAKE, _CAMEL):
            for match in shape.finditer(prose):
                yield from self._symbol(match["name"])

    def _in_span(self, code: str) -> Iterator[Claim]:
        """Inline code: said word for word somewhere, or each of its words is known."""
        if self.was_seen(code):
            return
        rest = yield from self._take_paths(_CODED_SIGN.sub(" ", code), certain=True)
        rest = _STRING.sub(lambda match: " " if self._stands(match[0][1:-1]) else f" {match[0][1:-1]} ", rest)
        for word in _WORD.findall(rest):
            yield from self._symbol(word)

    def _in_code_block(self, block: str) -> Iterator[Claim]:
        """Quoted code: a line of the change as it is, or one whose code words are all known. Comments are prose."""
        for raw in block.splitlines():
            line = raw.strip()
            if not line or self.was_seen(line) or self._stands(re.sub(r"^[+-]\s*", "", line)):
                continue
            rest = yield from self._take_paths(line, certain=False)
            rest = _METHOD.sub(" ", re.sub(r"(?:#|//|--).*$", " ", _STRING.sub(" ", rest)))
            for shape in (_CALL, _DOTTED, _SNAKE, _CAMEL):
                for match in shape.finditer(rest):
                    yield from self._symbol(match["name"])

    def _new_comments(self, block: str) -> Iterator[str]:
        for line in block.splitlines():
            comment = _COMMENT.search(line)
            if comment and not self._stands(line.strip()) and not self._stands(line.strip(" +-")):
                yield comment["said"]

    # --- claims ---

    def _take_paths(self, text: str, *, certain: bool) -> Generator[Claim, None, str]:
        """Judge the paths in `text`; returns (as a generator does) the text without them."""
        claims: list[Claim] = []

        def judge(match: re.Match[str]) -> str:
            path = match["path"].rstrip(".")
            if _PROPER_DOTTED.match(path):
                return " "
            if not match.re.groupindex.get("first") and not certain and not _is_surely_path(path):
                return match[0]
            claims.extend(self._path(path, match.groupdict()))
            return " "

        rest = _SLASHED.sub(judge, _PATH.sub(judge, text))
        yield from claims
        return rest

    def _path(self, named: str, groups: Mapping[str, str | None]) -> Iterator[Claim]:
        known = self._known_path(named)
        if known is None:
            bare = re.sub(r"^(?:\./)+", "", named)
            if any(path == bare or path.endswith(f"/{bare}") for path in self.unexercised):
                yield Claim("hunk", named, "it was changed, and no replay exercised that")
            elif not self._stands(named):
                yield Claim("path", named, "no exercised hunk, test or command of the run is there")
            return
        if groups.get("first") and known in self.lines:
            yield from self._range(known, int(groups["first"] or 0), int(groups.get("last") or groups["first"] or 0))

    def _range(self, path: str, first: int, last: int) -> Iterator[Claim]:
        if not any(start <= first and last <= end for start, end in self.lines[path]):
            yield Claim("lines", f"{path}:{first}-{last}", "these lines are not in an exercised hunk")

    def _line_ranges(self, prose: str, text: str) -> Iterator[Claim]:
        """`lines 10–20` in prose: of a file that the same paragraph names, else of any."""
        named = [path for path in self.lines if path in text]
        for match in _LINES.finditer(prose):
            first = int(match["first"])
            last = int(match["last"] or match["end"] or first)
            ranges = [span for path in named or self.lines for span in self.lines[path]]
            if not any(start <= first and last <= end for start, end in ranges):
                yield Claim("lines", match[0], "these lines are not in an exercised hunk")

    def _known_path(self, named: str) -> str | None:
        """The corpus' path that `named` means: itself, or what it ends with, whole parts only."""
        bare = re.sub(r"^(?:\./)+", "", named).rstrip("/")
        if bare in self.paths:
            return bare
        return next((path for path in sorted(self.paths) if path.endswith(f"/{bare}")), None)

    def _symbol(self, name: str) -> Iterator[Claim]:
        words = re.split(r"\.|::|->", name)
        unknown = [word for word in words if not self._is_known(word.lstrip("$"))]
        if unknown and name not in PROPER and not _PROPER_DOTTED.match(name) and not self._stands(name):
            if self.unexercised.intersection(unknown):
                yield Claim("hunk", name, "only a hunk that no replay exercised has it")
            else:
                yield Claim("symbol", name, "it does not stand in the exercised change")

    def _is_known(self, word: str) -> bool:
        if len(word) < 2 or word in self.symbols or word in LANGUAGE or word in PROPER or f"New{word}" in self.symbols:
            return True  # what Go's `NewScanner` makes is a `Scanner`
        if word.endswith("_") and any(symbol.startswith(word) for symbol in self.symbols):
            return True  # what several names begin with
        return (word.isupper() or word.islower()) and word.swapcase() in self.symbols

    def _stands(self, text: str) -> bool:
        """Whether `text` occurs in the corpus, bounded by what is no part of a word."""
        if not text or text not in self.corpus:
            return not text
        return self._found(re.escape(text), text, text)

    def _found(self, pattern: str, first: str, last: str) -> bool:
        before = r"(?<![\w$])" if re.match(r"[\w$]", first) else ""
        after = r"(?![\w$])" if re.search(r"[\w$]$", last) else ""
        return re.search(f"{before}{pattern}{after}", self.corpus) is not None


def _bare(text: str) -> str:
    """`text` without what quotes, joins and lists words in code."""
    return re.sub(r"[\"'`,\[\]()+]+", " ", text)


def _is_surely_path(path: str) -> bool:
    """In prose `and/or` is no path: a slash alone does not make one, a known folder or a rooted start does."""
    parts = [part for part in path.split("/") if part]
    if path.startswith(("./", "../", "~/")) or (path.startswith("/") and len(parts) > 1):
        return True
    return len(parts) > 1 and (parts[0] in FOLDERS or path.endswith("/") or any("_" in part for part in parts))


def _paths_in(text: str) -> Iterator[str]:
    """The paths that a command or a test id names, and a test id's file."""
    for match in (*_PATH.finditer(text), *_SLASHED.finditer(text)):
        yield re.sub(r"^(?:\./)+", "", match["path"]).rstrip("/.")


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """`text` as (inside a fence?, paragraph or block), fence lines left out but for their info string."""
    block: list[str] = []
    mark = ""
    quoted = False
    for line in text.splitlines():
        if mark and quoted and not line.lstrip().startswith(">"):
            yield True, "\n".join(block)  # a fence ends with the quotation that it stands in
            block, mark = [], ""
        match = _FENCE.match(line)
        if mark:
            if match and match["mark"].startswith(mark) and not match["info"].strip():
                yield True, "\n".join(block)
                block, mark = [], ""
            else:
                block.append(line)
        elif match:
            yield False, "\n".join(block)
            yield False, match["info"]
            block, mark, quoted = [], match["mark"], ">" in match["indent"]
        elif not line.strip():
            yield False, "\n".join(block)
            block = []
        else:
            block.append(line)
    yield bool(mark), "\n".join(block)


def grounded_only(grounding: Grounding, parts: Iterable[str]) -> tuple[list[str], int]:
    """The parts (sentences, lines) that name nothing ungrounded and command nobody, and how many were left out."""
    from learnd.library.danger import tells  # noqa: PLC0415 - the gate knows grounding by its type alone

    kept: list[str] = []
    dropped = 0
    for part in parts:
        if grounding.ungrounded(part) or grounding.beside(part) or tells(part, grounding):
            dropped += 1
        else:
            kept.append(part)
    return kept, dropped
