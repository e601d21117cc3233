"""git, driven with fixed arguments in learnd's own repository and in no other.

Invariants:

- `GIT_DIR` is always learnd's. The user's git folder appears only as an object store to borrow from, for the one
  call that asks for it: no configuration, hook, filter or fsmonitor of the user's is ever read, so none runs.
- The environment is built here from nothing (`env -i`): a daemon started from a git hook, or with `GIT_CONFIG_*` set,
  behaves like any other.
- What comes from a repository or a manifest reaches git on standard input, NUL-terminated, or as an object id that
  was checked to be hex. It never stands where an option could.
- Output is bytes. GitPython's own parsers are not used: they break on names that are not UTF-8.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, BinaryIO, cast

from learnd.harvest.faults import DiskFull, GitFailed, SnapshotError, disk_faults, says_disk_full

if TYPE_CHECKING:
    from git.cmd import Git as GitPython

ATTRIBUTES = "* -text -eol -filter -ident -working-tree-encoding -export-ignore -export-subst\n"
"""Bytes in a tree are bytes on disk: no conversion, filter or omission, whatever a `.gitattributes` says."""

_CONFIG = """\
# Written by learnd at every start; changes are lost.
[core]
\trepositoryFormatVersion = {version}
\tbare = true
\thooksPath = /dev/null
\tfsmonitor = false
\tuntrackedCache = false
\tautocrlf = false
\tsafecrlf = false
\tfileMode = true
\tsymlinks = true
\tignoreCase = false
\tprecomposeUnicode = false
\tprotectHFS = false
\tprotectNTFS = false
\tquotePath = true
\tlogAllRefUpdates = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tcompression = 1
\tfsync = committed,reference
\tfsyncMethod = batch
[gc]
\tauto = 0
[maintenance]
\tauto = false
[protocol]
\tallow = never
[submodule]
\trecurse = false
[index]
\tsparse = false
\tthreads = 1
[tar]
\tumask = 0022
[diff]
\tignoreSubmodules = all
[extensions]
{extensions}"""

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNPACK_LIMIT = 100
EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


def checked(object_id: str) -> str:
    """`object_id` when it is a whole hex object id. Raises SnapshotError otherwise: it might be an option."""
    if not _HEX.fullmatch(object_id):
        raise SnapshotError("bad_object_id", f"{object_id[:80]!r} is not a git object id")
    return object_id


class OwnRepository:
    """A bare repository of learnd's, and git run in it.

    `git_dir` need not exist before `prepare`. `objects` is the user's object store, borrowed on request only.
    """

    def __init__(self, git_dir: Path, objects: Path) -> None:
        self.git_dir = git_dir
        self._objects = objects
        self._empty = git_dir / "empty"
        self.empty_tree = EMPTY_TREES["sha1"]

    def prepare(self, object_format: str, shallow: bytes | None) -> None:
        """Make the repository, or bring its configuration to what this version of learnd writes. Raises DiskFull.

        `shallow` is the user's list of commits whose parents are not there; history is walked up to them.
        """
        own = object_format if object_format in EMPTY_TREES else "sha1"
        self.empty_tree = EMPTY_TREES[own]
        with disk_faults():
            for folder in ("objects/pack", "objects/info", "refs/tags", "info", "empty"):
                (self.git_dir / folder).mkdir(parents=True, exist_ok=True)
            extensions = f"\tobjectFormat = {own}\n" if own != "sha1" else ""
            config = _CONFIG.format(version=int(own != "sha1"), extensions=extensions)
            self._settle("HEAD", b"ref: refs/heads/none\n")
            self._settle("info/attributes", ATTRIBUTES.encode())
            self._settle("config", config.encode())
            self._settle("shallow", shallow or b"")

    def _settle(self, name: str, wanted: bytes) -> None:
        file = self.git_dir / name
        # An empty `shallow` would say that no history is cut off; so does none at all.
        if not wanted:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.read_bytes() != wanted:
            handle, part = tempfile.mkstemp(dir=self.git_dir)
            with os.fdopen(handle, "wb") as out:
                out.write(wanted)
            Path(part).replace(file)

    def run(
        self,
        *argv: str,
        stdin: bytes | BinaryIO = b"",
        out: BinaryIO | None = None,
        index: Path | None = None,
        work_tree: Path | None = None,
        borrow: bool = False,
        into_borrowed: bool = False,
        at: int = 0,
    ) -> bytes:
        """The standard output of `git <argv>`; with `out` it goes there instead and b"" is returned.

        `borrow` lends the user's objects, `into_borrowed` writes new ones there. `at` (seconds since 1970) dates
        commits. Raises GitFailed, DiskFull.
        """
        environment = self._environment(index, work_tree, borrow, at)
        if into_borrowed:
            environment["GIT_OBJECT_DIRECTORY"] = os.fspath(self._objects)
        status, output, stderr = self._execute(argv, environment, stdin, out, work_tree)
        if status != 0:
            raise GitFailed(argv[0], status, stderr)
        return output

    def attempt(
        self,
        *argv: str,
        stdin: bytes | BinaryIO = b"",
        out: BinaryIO | None = None,
        index: Path | None = None,
        work_tree: Path | None = None,
        borrow: bool = False,
        at: int = 0,
    ) -> tuple[int, bytes, str]:
        """Like `run`, but a failure is returned as (status, output, stderr). Raises DiskFull."""
        return self._execute(argv, self._environment(index, work_tree, borrow, at), stdin, out, work_tree)

    def _execute(
        self,
        argv: tuple[str, ...],
        environment: dict[str, str],
        stdin: bytes | BinaryIO,
        out: BinaryIO | None,
        work_tree: Path | None,
    ) -> tuple[int, bytes, str]:
        with _readable(stdin) as source, disk_faults():
            result = self._git(work_tree).execute(
                self._command(argv, environment),
                istream=source,
                output_stream=out,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                umask=0o022,
            )
        assert isinstance(result, tuple)  # noqa: S101 - what with_extended_output returns, for the type checker
        status, output, stderr = result
        if status != 0 and says_disk_full(stderr):
            raise DiskFull(f"git {argv[0]}: {stderr.strip()[-500:]}")
        return status, output if isinstance(output, bytes) else b"", stderr

    @contextmanager
    def feeding(self, *argv: str) -> Iterator[BinaryIO]:
        """Run `git <argv>` while the block writes to its standard input. Raises GitFailed, DiskFull after the block."""
        command = self._command(argv, self._environment(None, None, False, 0))
        # Kept in a variable: GitPython ends the process when its wrapper is collected.
        wrapper = self._git(None).execute(command, istream=PIPE, as_process=True, umask=0o022)
        process = wrapper.proc
        assert process is not None  # noqa: S101 - set until it is waited for
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101 - GitPython always asks for one
        broken = False
        try:
            try:
                yield cast(BinaryIO, process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                broken = True
            stderr = process.stderr.read().decode("utf-8", "replace")
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if status != 0 or broken:
            if says_disk_full(stderr):
                raise DiskFull(f"git {argv[0]}: {stderr.strip()[-500:]}")
            raise GitFailed(argv[0], status, stderr)

    def present(self, object_ids: Iterable[str], *, borrow: bool = False) -> frozenset[str]:
        """Those of `object_ids` that are there: in learnd's own store, or with `borrow` in the user's as well."""
        wanted = sorted(set(object_ids))
        if not wanted:
            return frozenset()
        listing = "".join(f"{checked(object_id)}\n" for object_id in wanted).encode()
        lines = self.run("cat-file", "--batch-check=%(objectname)", stdin=listing, borrow=borrow).split(b"\n")
        return frozenset(line.decode() for line in lines if line and not line.endswith(b" missing"))

    def adopt(self, object_ids: Iterable[str]) -> frozenset[str]:
        """Copy borrowed objects into learnd's own store; returns those that are nowhere.

        The copy is hashed anew from its content: an object that lies about its name does not get in.
        """
        wanted = frozenset(object_ids)
        foreign = wanted - self.present(wanted)
        borrowed = self.present(foreign, borrow=True)
        if borrowed:
            with tempfile.TemporaryFile(dir=self.git_dir) as pack:
                listing = "".join(f"{object_id}\n" for object_id in sorted(borrowed)).encode()
                packing = ("pack-objects", "--stdout", "-q", "--window=0", "--threads=1")
                self.run(*packing, stdin=listing, out=pack, borrow=True)
                pack.seek(0)
                few = len(borrowed) < _UNPACK_LIMIT
                self.run(*(("unpack-objects", "-q") if few else ("index-pack", "--stdin")), stdin=pack)
        return foreign - self.present(foreign)

    def fill_index(self, index: Path, listing: bytes) -> None:
        """Put entries, as `update-index --index-info -z` takes them, into an index. Raises GitFailed for a bad path."""
        status, _, stderr = self.attempt("update-index", "--replace", "-z", "--index-info", stdin=listing, index=index)
        # git passes over a path it does not allow, with a word and status 0.
        if status != 0 or "Ignoring path" in stderr:
            raise GitFailed("update-index", status, stderr)

    def _git(self, work_tree: Path | None) -> GitPython:
        from git.cmd import Git as GitPython  # noqa: PLC0415 - importing GitPython costs as much as a whole CLI verb

        # A folder without files: git looks for `.gitattributes` where it stands.
        return GitPython(os.fspath(work_tree or self._empty))

    def _command(self, argv: tuple[str, ...], environment: dict[str, str]) -> list[str]:
        # GitPython starts from os.environ, from which it cannot take anything away; `env -i` can.
        clean = shutil.which("env") or "/usr/bin/env"
        git = shutil.which("git")
        if git is None:
            raise SnapshotError("no_git", "git is not on PATH. Next: install git 2.36 or newer")
        return [clean, "-i", *(f"{name}={value}" for name, value in environment.items()), git, *argv]

    def _environment(self, index: Path | None, work_tree: Path | None, borrow: bool, at: int) -> dict[str, str]:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.fspath(self._empty),
            "XDG_CONFIG_HOME": os.fspath(self._empty),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_DIR": os.fspath(self.git_dir),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_PAGER": "cat",
        }
        for role in ("AUTHOR", "COMMITTER"):
            environment |= {
                f"GIT_{role}_NAME": "learnd",
                f"GIT_{role}_EMAIL": "learnd@localhost",
                f"GIT_{role}_DATE": f"@{at} +0000",
            }
        if index is not None:
            environment["GIT_INDEX_FILE"] = os.fspath(index)
        if work_tree is not None:
            environment["GIT_WORK_TREE"] = os.fspath(work_tree)
        if borrow:
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(os.fspath(self._objects))
        return environment


def _quoted(path: str) -> str:
    """`path` for a list separated by colons: always in quotes, which git takes literally."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@contextmanager
def _readable(stdin: bytes | BinaryIO) -> Iterator[BinaryIO | None]:
    if not isinstance(stdin, bytes):
        yield stdin
    elif not stdin:
        yield None
    else:
        with disk_faults(), tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file
