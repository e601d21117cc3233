"""Environments made from lock and requirement files: built once, with the network, and bound read-only afterwards.

    key of all that decides what comes out  →  there already? → used
                                            →  network allowed? → built in a sandbox of its own → moved into its place

The set-up sees the lock files and nothing else of the tree (what it is not keyed by it cannot depend on); it shares the
host's network and cannot write anywhere but into its own folder. Replays never have a network. An environment belongs
to one repository, for what it holds was written by code that the repository named.

Invariants: an environment stands in its place whole or not at all; one in use is never swept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from events.values import Installation
from learnd.lab.environment import BEHIND, SYSTEM_PATH, VENV_FOLDERS, Environment
from learnd.lab.installing import LOCK_NAME, requirements
from learnd.lab.interpreters import interpreter_roots, is_file
from learnd.lab.runners import ReadFile
from learnd.lab.sandbox import Limits, RunRefused, Sandbox, SandboxRun
from learnd.lab.setup_rules import ENV, LOCK
from learnd.lab.trees import remove_tree
from learnd.lab.verdict import Judgement
from learnd.settings import Lab

FOLDER = "environments"
KEPT_BYTES = 8 << 30
"""Cached environments beyond this, all repositories together, go: the least recently used first."""

ABANDONED_S = 86_400
DISK_MB = 8192
_PASSED_ON = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "npm_config_registry", "GOPROXY",
    "GONOSUMDB", "GOFLAGS", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""Where the daemon's own environment says that packages come from; never with credentials in it."""


@dataclass
class Installed:
    """What set-up came to: environments by where they stand inside, what to say, and why one is missing."""

    folders: dict[Path, Path] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def over(self, environment: Environment) -> Environment:
        """The environment that discovery found, with what was installed instead of its parts."""
        said = "; ".join((*self.said, environment.description))
        env = {**environment.env, **self.env}
        return replace(environment, env=env, description=said, unmet="; ".join(self.problems))


@dataclass(frozen=True)
class Setup:
    """Everything that the installations of one job share. `read` gives the snapshot's files, `root` is the cache."""

    repo: Path
    read: ReadFile
    root: Path
    sandbox: Sandbox
    lab: Lab
    owner: tuple[int, int]
    cancel: threading.Event
    progress: Callable[[str], None]

    @contextmanager
    def installed(self, wanted: tuple[Installation, ...], files: frozenset[str]) -> Iterator[Installed]:
        """The environments of `wanted`: cached, built, or missing with a reason; none is swept meanwhile.

        Raises SandboxUnavailable.
        """
        installed = Installed()
        with ExitStack() as held:
            for one in wanted:
                try:
                    self._provide(one, files, installed, held)
                except (OSError, RunRefused, _Failed) as error:
                    installed.problems.append(f"set-up from {_named(one)} failed: {error}")
            yield installed

    def _provide(self, one: Installation, files: frozenset[str], installed: Installed, held: ExitStack) -> None:
        inside = self.repo / one.package / self._folder(one)
        contents = {path: data for path in one.files if (data := self.read(path)) is not None}
        tools = self._tools(one)
        key = self._key(one, contents, tools, inside)
        place = self.root / hashlib.sha256(os.fsencode(self.repo)).hexdigest()[:16] / key[:32]
        if not (place / "env").is_dir():
            if not self.lab.setup_network:
                installed.problems.append(
                    f"the change asks for another environment ({_named(one)}), and set-up may not use the network: "
                    "replayed in the one that is there. Next: set lab.setup_network = true"
                )
                return
            self.progress(f"installing from {_named(one)}")
            self._build(one, contents, tools, inside, place)
        _hold(place, held)
        installed.folders[inside] = place / "env"
        installed.env |= {name: value.replace(ENV, str(inside)) for name, value in one.env.items()}
        source = self.repo / one.package / "src"
        if is_file(place / "env/pyvenv.cfg") and any(path.startswith(f"{_prefix(one)}src/") for path in files):
            installed.env["PYTHONPATH"] = str(source)  # the project itself is not installed, only what it needs
        installed.said.append(f"environment {inside} made from {_named(one)} (key {key[:12]})")

    def _folder(self, one: Installation) -> str:
        """Where the environment has to stand: in the place of the live one, which commands may name."""
        live = [name for name in VENV_FOLDERS if is_file(self.repo / one.package / name / "pyvenv.cfg")]
        return live[0] if one.folder in VENV_FOLDERS and live else one.folder

    def _tools(self, one: Installation) -> dict[str, Path]:
        """The installers' executables, by the names that the commands call them. Raises _Failed."""
        found: dict[str, Path] = {}
        needed = [argv[0] for argv in one.commands if not argv[0].startswith(ENV)]
        for name in dict.fromkeys((*needed, *(BEHIND if set(needed) - {"python3"} else ()))):
            which = shutil.which(name)
            base = self.repo / one.package / self._folder(one) / "bin/python"
            if name == "python3" and is_file(base):
                which = str(base.resolve())  # the interpreter behind the live environment
            if which is not None:
                found[name] = Path(which)
            elif name in needed:
                raise _Failed(f"{name} is not installed")
        return found

    def _key(self, one: Installation, contents: Mapping[str, bytes], tools: Mapping[str, Path], inside: Path) -> str:
        made_of = {
            "installation": one.model_dump(mode="json", exclude={"blank"}),
            "inside": str(inside),
            "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(contents.items())},
            "tools": {name: _identity(path) for name, path in tools.items()},
            "machine": platform.machine(),
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def _build(
        self,
        one: Installation,
        contents: Mapping[str, bytes],
        tools: Mapping[str, Path],
        inside: Path,
        place: Path,
    ) -> None:
        if self.sandbox.isolation == "none":
            raise _Failed('set-up runs code of packages, and is not done with sandbox = "none"')
        place.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
        building.chmod(0o711)
        try:
            tree = building / "tree"
            _write_tree(tree, one, contents)
            (building / "report").mkdir()
            for argv in one.commands:
                self._run(argv, one, tools, inside, building)
            made = tree / inside.relative_to(self.repo)
            if made.is_symlink() or not made.is_dir():
                raise _Failed(f"it left no folder {inside.name}")
            made.rename(building / "env")
            remove_tree(tree)
            remove_tree(building / "report")
            with suppress(OSError):  # another worker was first
                building.rename(place)
        finally:
            remove_tree(building)

    def _run(
        self, argv: tuple[str, ...], one: Installation, tools: Mapping[str, Path], inside: Path, building: Path
    ) -> None:
        words = [word.replace(ENV, str(inside)).replace(LOCK, LOCK_NAME) for word in argv]
        words[0] = str(tools[words[0]]) if words[0] in tools else words[0]
        roots = {root: root for path in tools.values() for root in interpreter_roots(path)}
        path = dict.fromkeys((*(str(tool.parent) for tool in tools.values()), *SYSTEM_PATH))
        env = {name: value.replace(ENV, str(inside)) for name, value in one.env.items()}
        spec = SandboxRun(
            argv=tuple(words),
            tree=building / "tree",
            mount_at=self.repo,
            report_dir=building / "report",
            limits=self._limits(building),
            owner_uid=self.owner[0],
            owner_gid=self.owner[1],
            cwd=one.package,
            env={**_of_daemon(), **env, "PATH": ":".join(path), "GOTOOLCHAIN": "local"},
            read_only_binds=tuple(roots.items()),
            network=True,
        )
        result = self.sandbox.run(spec, self.cancel)
        if result.exit_code != 0:
            lines = result.output.decode("utf-8", "replace").strip().splitlines()
            how = f"ended by its limit ({result.limit})" if result.limit else f"exit code {result.exit_code}"
            raise _Failed(f"`{' '.join(argv)}`: {how}: {' '.join(lines[-2:])[-300:]}")

    def _limits(self, folder: Path) -> Limits:
        lab = self.lab
        return Limits(
            wall_s=lab.timeout_seconds,
            memory_mb=lab.memory_mb,
            processes=lab.processes,
            file_mb=lab.file_mb,
            output_mb=lab.output_mb,
            disk_mb=min(DISK_MB, shutil.disk_usage(folder).free // 2 >> 20),
        )


def held_back(judgement: Judgement, unmet: str) -> Judgement:
    """A judgement where the change asked for another environment than there was: what failed may have failed for that.

    What passed did so in the old environment, which sufficed then.
    """
    of_environment = judgement.verdict == "failed" or (
        judgement.verdict == "inconclusive" and judgement.cause not in ("timeout", "foreign_code")
    )
    if not unmet or not of_environment or (judgement.cause or "").startswith("limit"):
        return judgement
    return Judgement("inconclusive", "environment", judgement.detail, judgement.turned)


class _Failed(Exception):
    """An environment could not be made; the message says why."""


def _identity(executable: Path) -> tuple[str, int, int]:
    """What tells an interpreter from its next version, without starting it."""
    found = executable.stat()
    return str(executable.resolve()), found.st_size, found.st_mtime_ns


def _named(one: Installation) -> str:
    return ", ".join(one.files[:3]) + (f" and {len(one.files) - 3} more" if len(one.files) > 3 else "")


def _prefix(one: Installation) -> str:
    return "" if one.package == "." else f"{one.package}/"


def _write_tree(tree: Path, one: Installation, contents: Mapping[str, bytes]) -> None:
    """Write what the set-up may see into a fresh folder."""
    shown = {**dict.fromkeys(one.blank, b""), **contents}
    if any(LOCK in argv for argv in one.commands):
        shown[f"{_prefix(one)}{LOCK_NAME}"] = requirements(one.package, contents).encode()
    for path, data in shown.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _of_daemon() -> dict[str, str]:
    """The variables that say where packages come from, without those that hold credentials."""
    given = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        name: value for name, value in given.items() if not any("@" in urlsplit(word).netloc for word in value.split())
    }


# --- what is kept -------------------------------------------------------------------------------------


def _hold(place: Path, held: ExitStack) -> None:
    """Say that `place` is used now, and keep it while `held` is open. Raises OSError where it was swept meanwhile."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    held.callback(os.close, handle)
    fcntl.flock(handle, fcntl.LOCK_SH)
    if not (place / "env").is_dir():
        raise FileNotFoundError(f"{place} was removed")
    os.utime(place)


def sweep_environments(root: Path, at_most: int = KEPT_BYTES) -> int:
    """Remove the least recently used environments beyond `at_most` bytes, and what a crash left: the bytes freed."""
    kept = sorted(_places(root), key=lambda place: place.stat().st_mtime, reverse=True)
    freed = used = 0
    for place in kept:
        size = _size(place)
        abandoned = place.name.startswith(".")
        if abandoned and time.time() - place.stat().st_mtime < ABANDONED_S:
            continue
        if not abandoned and used + size <= at_most:
            used += size
        elif _removed(place):
            freed += size
    return freed


def _places(root: Path) -> Iterator[Path]:
    if root.is_dir():
        for repository in root.iterdir():
            yield from (place for place in repository.iterdir() if place.is_dir() and not place.is_symlink())


def _removed(place: Path) -> bool:
    """Remove an environment unless it is in use."""
    with ExitStack() as stack:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        gone = place.with_name(f".gone-{place.name.lstrip('.')}")
        place.rename(gone)
        remove_tree(gone)
    return True


def _size(folder: Path) -> int:
    """Bytes on disk of everything below, links not followed."""
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(Path(inner, name)).st_blocks * 512
    return total
