"""Commands that a prompt or its acceptance criteria name: in code blocks, after `$ `, or between back-quotes.

A prompt is prose written by anyone. What is found here is only text; whoever uses it has to find a known runner in it.
"""

from __future__ import annotations

import re

MAX_TEXT = 200_000
MAX_LINES = 200
_FENCE = re.compile(r"[ \t]*(```+|~~~+)[ \t]*([\w+-]*)")
_SHELLS = frozenset(("", "bash", "sh", "shell", "zsh", "console", "shell-session", "text", "terminal"))
_PROMPTED = re.compile(r"^[ \t]*(?:[-*][ \t]+)?\$[ \t]+(\S.*)$", re.MULTILINE)
_QUOTED = re.compile(r"(?<!`)`([^`\n]{2,300})`(?!`)")
_ASKS = re.compile(
    r"\b(run|runs|running|rerun|execute|executing|with|via|using|verify|verified|command|by)\W*$", re.IGNORECASE
)
_TELLS = re.compile(
    r"^\W*(must|should|has to|needs to|passes|pass|succeeds|exits?|is green|stays green|runs)\b", re.IGNORECASE
)


def mentioned(text: str) -> tuple[str, ...]:
    """The lines that a text presents as commands, code blocks first, each once, at most 200.

    A single word between back-quotes is a command only where the words around it say so ("run `pytest`"): otherwise it
    names a tool.
    """
    text = text[:MAX_TEXT].replace("\r\n", "\n")
    blocks, prose = _apart(text)
    lines = [line for language, block in blocks if language in _SHELLS for line in _of_block(block)]
    lines += _PROMPTED.findall(prose)
    for quoted in _QUOTED.finditer(prose):
        line = quoted.group(1).strip().removeprefix("$ ")
        around = prose[max(0, quoted.start() - 40) : quoted.start()], prose[quoted.end() : quoted.end() + 40]
        if " " in line or _ASKS.search(around[0]) or _TELLS.match(around[1]):
            lines.append(line)
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))[:MAX_LINES]


def _apart(text: str) -> tuple[list[tuple[str, str]], str]:
    """The code blocks (language, text) and the prose around them. A block that is not closed ends with the text."""
    blocks: list[tuple[str, str]] = []
    prose: list[str] = []
    inside: list[str] = []
    fence: str | None = None
    language = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence is None and mark:
            fence, language, inside = mark.group(1), mark.group(2).lower(), []
        elif fence is None:
            prose.append(line)
        elif line.strip() == fence:
            blocks.append((language, "\n".join(inside)))
            fence = None
        else:
            inside.append(line)
    if fence is not None:
        blocks.append((language, "\n".join(inside)))
    return blocks, "\n".join(prose)


def _of_block(block: str) -> list[str]:
    """The commands of a code block: only the prompted lines where there are any, as the rest is output."""
    joined = re.sub(r"\\\n[ \t]*", " ", block)
    prompted: list[str] = _PROMPTED.findall(joined)
    return prompted or [line for line in joined.split("\n") if line.strip() and not line.lstrip().startswith("#")]
