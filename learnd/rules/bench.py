"""Both sides of a change, laid out so that rules can be run on them: in the sandbox, with nothing of them executed.

ast-grep parses what agents wrote with parsers in C. So it runs where replays run: as another user than root, without a
network, with only these files to read. Files stand under `base/` and `snapshot/`; links, submodules and what is larger
than a source file are left out. A comment that tells ast-grep to look away counts for people who lint, not here: the
words are blotted out, byte for byte, before the rule is run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from learnd.harvest.capture import EXECUTABLE, FILE
from learnd.harvest.store import SnapshotStore
from learnd.lab.sandbox import Limits, Sandbox, SandboxRun
from learnd.lab.trees import Place, Workspace, choose_root
from learnd.rules.astgrep import EVERY_FILE, AstGrepFailed, Match, nodes_argv, parsed, program, scan_argv, write_rules
from learnd.rules.astgrep import told as refusal
from learnd.rules.languages import language_of
from learnd.settings import Lab
from learnd.workplace import Workplace

Side = Literal["base", "snapshot"]
Files = Mapping[str, bytes]

FILE_MAX = 1 << 20
FILES_MAX = 256 << 20
"""Bytes of one file, and of all of a side: beyond it no rule is verified, for nobody could say where it matches."""
LIMITS = Limits(wall_s=120, memory_mb=2048, processes=128, file_mb=256, output_mb=1, cpu_s=240)
INSIDE = Path("/srv/code")
_PROGRAM = Path("/learnd/bin/ast-grep")
_LOOK_AWAY = b"ast-grep-ignore"
_BLOTTED = b"ast-grep-xxxxxx"


class TooLarge(Exception):
    """The trees hold more code of this language than rules are run on here."""


@dataclass(frozen=True)
class Where:
    """What a bench needs of the place where work is done. `name` is a folder's, of this piece of work alone."""

    sandbox: Sandbox
    work_dir: Path
    lab: Lab
    owner: tuple[int, int]
    name: str

    @classmethod
    def of(cls, place: Workplace, repo_path: str, name: str) -> Where:
        """For code of the repository at `repo_path`. Raises OSError where that is gone."""
        owner = Path(repo_path).stat()
        return cls(place.sandbox(), place.work_dir, place.settings.lab, (owner.st_uid, owner.st_gid), name)


class Bench:
    """`files` by side. Runs are one at a time."""

    def __init__(self, where: Where, place: Place, files: Mapping[Side, Files]) -> None:
        self._where = where
        self._place = place
        self.files = files

    def scan(self, rules: Sequence[str]) -> list[Match]:
        """The matches of `rules` on both sides; their paths begin with the side. Raises AstGrepFailed."""
        write_rules(self._place.report, rules)
        return self._run((*scan_argv(self._program, self._report), *EVERY_FILE, "."))

    def nodes(self, side: Side, path: str, language: str) -> list[Match]:
        """Every named node of a file. Raises AstGrepFailed."""
        write_rules(self._place.report, ())
        return self._run((*nodes_argv(self._program, self._report, language), *EVERY_FILE, "--", f"{side}/{path}"))

    @property
    def _program(self) -> str:
        return str(program()) if self._where.sandbox.isolation == "none" else str(_PROGRAM)

    @property
    def _report(self) -> str:
        return self._where.sandbox.report_inside(self._place.report)

    def _run(self, argv: Sequence[str]) -> list[Match]:
        script = f'exec "$0" "$@" >"{self._report}/out" 2>"{self._report}/err"'
        plain = self._where.sandbox.isolation == "none"
        spec = SandboxRun(
            argv=("/bin/sh", "-c", script, *argv),
            tree=self._place.tree,
            mount_at=INSIDE,
            report_dir=self._place.report,
            limits=LIMITS,
            owner_uid=self._where.owner[0],
            owner_gid=self._where.owner[1],
            own_binds=() if plain else ((program(), _PROGRAM),),
        )
        result = self._where.sandbox.run(spec, threading.Event())
        # `run` prints nothing and ends with 1 where nothing matches.
        if result.limit or result.exit_code not in (0, 1):
            said = self._said("err").decode("utf-8", "replace")
            raise AstGrepFailed(f"ast-grep was ended by the limit {result.limit}" if result.limit else refusal(said))
        return [parsed(line) for line in self._said("out").splitlines()]

    def _said(self, name: str) -> bytes:
        file = self._place.report / name
        return file.read_bytes() if file.is_file() and not file.is_symlink() else b""


@contextmanager
def laid_out(where: Where, files: Mapping[Side, Files]) -> Iterator[Bench]:
    """A bench with these files. Raises NoRoomForTrees, OSError."""
    size = sum(len(content) for side in files.values() for content in side.values())
    root = choose_root(where.work_dir, where.lab.work_dir, size)
    with Workspace(root, where.name) as workspace:
        yield Bench(where, workspace.fresh(lambda tree: _write(tree, files)), files)


def _write(tree: Path, files: Mapping[Side, Files]) -> None:
    tree.mkdir()
    for side, contents in files.items():
        (tree / side).mkdir()
        for path, content in contents.items():
            if not {"", ".", ".."}.isdisjoint(PurePosixPath(path).parts) or path.startswith("/"):
                continue
            file = tree / side / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.replace(_LOOK_AWAY, _BLOTTED))


def code_of(store: SnapshotStore, tree: str, language: str, only: frozenset[str] | None = None) -> dict[str, bytes]:
    """The files of a tree in this language, or those of `only`. Raises TooLarge, SnapshotError."""
    entries = [
        entry
        for entry in store.list_files(tree)
        if entry.mode in (FILE, EXECUTABLE)
        and language_of(entry.path) == language
        and entry.size <= FILE_MAX
        and (only is None or entry.path in only)
    ]
    if sum(entry.size for entry in entries) > FILES_MAX:
        raise TooLarge(f"{len(entries)} files of {language} hold more than {FILES_MAX >> 20} MiB")
    return store.read_files(tree, [entry.path for entry in entries], FILES_MAX)
