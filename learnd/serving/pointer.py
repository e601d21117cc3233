"""One line for `AGENTS.md` that tells agents where patterns are; printed, and written only when a person asks."""

from __future__ import annotations

from pathlib import Path

from learnd.library.folders import Folder, NotText

FILE = "AGENTS.md"
MARK = "<!-- learnd -->"
LINE = (
    "Changes that were proven here before, each reviewed by a person: "
    '`learnd context --for "what you are about to do"` prints those that fit, and nothing when none does. '
    f"{MARK}"
)


def write(repo: Path) -> bool | str:
    """Put the line at the end of `AGENTS.md`, or in its own place; whether that changed anything, or why it cannot be.

    Raises FolderRefused, OSError.
    """
    with Folder.require(repo) as folder:
        found = folder.read(FILE)
        if isinstance(found, NotText):
            return found.reason
        if found is None:
            return True if folder.create(FILE, f"{LINE}\n".encode()) else "it has appeared meanwhile"
        after = _with_line(found)
        if after == found:
            return False
        return True if folder.replace(FILE, after, found) else "it has changed meanwhile"


def _with_line(before: bytes) -> bytes:
    """The file with our line in it once: where it stands already, else at the end after an empty line."""
    end = b"\r\n" if b"\r\n" in before else b"\n"
    lines = before.split(b"\n")
    own = [at for at, line in enumerate(lines) if line.rstrip().endswith(MARK.encode())]
    if own:
        lines[own[0]] = LINE.encode() + (b"\r" if lines[own[0]].endswith(b"\r") else b"")
        return b"\n".join(line for at, line in enumerate(lines) if at not in own[1:])
    joint = b"" if not before or before.endswith(b"\n") else end
    return before + joint + (end if before.strip() else b"") + LINE.encode() + end
