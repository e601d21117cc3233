"""The environment a run used, found without executing anything, and bound read-only around the restored tree.

The tree stands at the repository's original path, so editable installs import the *restored* code. What the snapshot
leaves out because git ignores it comes from the live repository, read-only:

- environment folders (`.venv`, `node_modules`, …), never one with a tracked file in it;
- generated files beside tracked sources (`_version.py`, built extensions, compiled message catalogues): copied,
  digested, declared as overlays;
- interpreters and environments outside the repository, at their own paths.

Everything read here was written by whoever owns the repository, so nothing is believed for its name alone: an
environment folder that is a link must lead to an environment, and paths named by one are bound only where code lives.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shlex
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from events.values import Overlay, Scenario, ScenarioCommand, Service
from learnd.harvest.gitfolder import read_small
from learnd.lab.binds import RunRefused, admissible
from learnd.lab.interpreters import interpreter_env, interpreter_roots, is_file, is_folder

FOLDERS = (".venv", "venv", "env", ".env", "virtualenv", "node_modules", "vendor", "__pypackages__")
"""Ignored folders that hold an environment. `target` and the like are left out: their tools must write there."""

VENV_FOLDERS = (".venv", "venv", "env", ".env", "virtualenv")
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
STARTERS = frozenset(
    (
        "make",
        "just",
        "npm",
        "npx",
        "yarn",
        "pnpm",
        "corepack",
        "tox",
        "nox",
        "uv",
        "poetry",
        "hatch",
        "pdm",
        "env",
        "sh",
    )
)
BEHIND = ("python3", "python", "node")
"""What the starters may start; bound where the daemon's PATH has it."""

OVERLAYS_MAX = 200
OVERLAY_BYTES_MAX = 256 << 20
SCANNED_FOLDERS_MAX = 4000

_GENERATED = re.compile(
    r"(\.so|\.pyd|\.abi3\.so|\.mo)$|^_?_?(version|version_info|_version)(__)?\.py$|_pb2(_grpc)?\.pyi?$"
)
_BESIDE = (".py", ".pyx", ".pyi", ".po")
"""Of which files' folders generated ones are looked for: tests that miss a compiled catalogue are skipped, mostly."""
_MAPPING = re.compile(r"^MAPPING[^=\n]*= (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """What a replay gets around its tree, all of it read-only, as (host, inside).

    `binds` are folders, in the tree and outside; `overlays` are generated files over the tree, which `declared` gives
    with their digests. `missing` names an executable that is nowhere: nothing can be replayed then.
    """

    binds: tuple[tuple[Path, Path], ...]
    overlays: tuple[tuple[Path, Path], ...]
    declared: tuple[Overlay, ...]
    env: Mapping[str, str]
    description: str
    missing: str | None = None
    made: tuple[tuple[Path, Path], ...] = ()
    """Environments that learnd made itself, in place of the live ones: (host, inside)."""

    unmet: str = ""
    """What the change asks to be installed and is not, in a sentence."""

    def folders_called(self, name: str) -> list[Path]:
        """Where on this machine the folders of this name are that a replay gets."""
        return [host for host, inside in (*self.made, *self.binds) if inside.name == name]


@dataclass
class _Found:
    """What discovery gathers on its way."""

    venvs: list[Path] = field(default_factory=list)
    binds: dict[Path, Path] = field(default_factory=dict)  # inside -> host
    path: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def discover(
    repo: Path,
    scenario: Scenario,
    tree_files: Collection[str],
    copies: Path,
    extra_binds: Iterable[Path] = (),
    made: Mapping[Path, Path] | None = None,
    names: Collection[str] = FOLDERS,
) -> Environment:
    """The environment of `scenario`'s commands in the repository at `repo`.

    `tree_files` are the paths of base and snapshot together. `copies` is a fresh folder of ours that generated files
    are copied to. `made` are environments from the cache, by where they stand inside; `names` are folders that may hold
    others (`.tox/*`: any folder in it). Raises OSError only for `copies`; what cannot be read in the repository is not
    there.
    """
    commands: tuple[ScenarioCommand | Service, ...]
    commands = (*scenario.setup, *scenario.commands, *_of_services(scenario))
    folders = environment_folders(repo, tree_files, [command.cwd for command in commands], names)
    folders |= made or {}
    found = _Found()
    for folder, target in folders.items():
        if is_file(target / "pyvenv.cfg"):
            found.venvs.append(folder)
    for command in commands:
        _resolve(command, repo, folders, found)
    for venv in list(found.venvs):
        _bind_venv(venv, folders.get(venv, venv), repo, found)
    for path in extra_binds:
        if os.path.exists(path):  # noqa: PTH110 - as `is_file`
            found.binds[path] = path
    generated = tuple(_copy_generated(repo, tree_files, copies))
    binds = {inside: host for inside, host in folders.items() if inside not in (made or {})}
    binds |= {inside: host for inside, host in found.binds.items() if not _within(inside, repo)}
    return Environment(
        binds=tuple((host, inside) for inside, host in binds.items()),
        overlays=tuple((host, repo / overlay.path) for host, overlay in generated),
        declared=tuple(overlay for _, overlay in generated),
        env=_variables(found),
        description="; ".join(dict.fromkeys(found.named)) or "system",
        missing=", ".join(dict.fromkeys(found.missing)) or None,
        made=tuple((host, inside) for inside, host in (made or {}).items()),
    )


# --- folders inside the repository ------------------------------------------------------------------


def environment_folders(
    repo: Path, tree_files: Collection[str], cwds: Iterable[str], names: Collection[str] = FOLDERS
) -> dict[Path, Path]:
    """Ignored environment folders of the live repository: where each stands → what to bind there.

    Looked for at the root, at the commands' folders and those above them, and beside every `package.json`.
    """
    places = {PurePosixPath(".")}
    for cwd in cwds:
        at = PurePosixPath(cwd)
        if ".." not in at.parts and not at.is_absolute():
            places.update((at, *at.parents))
    packages = [PurePosixPath(path).parent for path in tree_files if path.rsplit("/", 1)[-1] == "package.json"]
    candidates = {found for place in places for name in {*FOLDERS, *names} for found in _called(repo, place, name)}
    candidates |= {package / "node_modules" for package in packages[:SCANNED_FOLDERS_MAX]}
    candidates |= {PurePosixPath(name) for name in _egg_infos(repo)}
    tracked = _prefixes(tree_files)
    found: dict[Path, Path] = {}
    for candidate in sorted(candidates):
        if str(candidate) in tracked:
            continue
        target = _environment_target(repo, repo / candidate)
        # A link to tracked files would show the live ones.
        if target is not None and not (_within(target, repo) and str(target.relative_to(repo)) in tracked):
            found[repo / candidate] = target
    return found


def _called(repo: Path, place: PurePosixPath, name: str) -> list[PurePosixPath]:
    """The folder of that name, or of `name/*` every virtual environment in it."""
    if not name.endswith("/*"):
        return [place / name]
    inside = place / name.removesuffix("/*")
    try:
        entries = [entry.name for entry in os.scandir(repo / inside)][:SCANNED_FOLDERS_MAX]
    except OSError:
        return []
    return [inside / entry for entry in entries if is_file(repo / inside / entry / "pyvenv.cfg")]


def _prefixes(files: Iterable[str]) -> frozenset[str]:
    """Every path of the tree and every folder above one."""
    found: set[str] = set()
    for path in files:
        found.add(path)
        at = path.rfind("/")
        while at > 0 and path[:at] not in found:
            found.add(path[:at])
            at = path.rfind("/", 0, at)
    return frozenset(found)


def _egg_infos(repo: Path) -> Iterator[str]:
    """Metadata of old-style editable installs: ignored folders beside the sources, at the root or in `src`."""
    for place in ("", "src/"):
        try:
            names = [entry.name for entry in os.scandir(repo / place) if entry.name.endswith(".egg-info")]
        except OSError:
            continue
        yield from (place + name for name in names)


def _environment_target(repo: Path, folder: Path) -> Path | None:
    """What stands at `folder` when it is an environment: itself, or where a link leads, when that is one as well."""
    try:
        real = folder.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if not is_folder(real):
        return None
    looks = is_file(real / "pyvenv.cfg")
    if folder.name in VENV_FOLDERS and not looks:
        return None
    if _within(real, repo):
        return real
    if looks or (folder.name == "node_modules" and real.name == "node_modules"):
        return real if _may_bind(real, repo) else None
    return None


# --- interpreters and environments --------------------------------------------------------------------


def _resolve(command: ScenarioCommand | Service, repo: Path, folders: Mapping[Path, Path], found: _Found) -> None:
    """Find the executables of one command: the environment it names, the one beside it, the daemon's PATH."""
    cwd = repo / command.cwd
    words = _words(command)
    for word in words:
        if word.startswith("/") or "/" in word:
            _note_venv(cwd / word, repo, folders, found)
    near = [folder for folder in folders if folder.parent == cwd or folder.parent in cwd.parents]
    shell = command.argv[:1] == ("bash",)
    needed = () if shell else words[:1]
    program = PurePosixPath(words[0]).name if words else ""
    perhaps = (*(_command_words(words) if shell else ()), *(BEHIND if shell or program in STARTERS else ()))
    for name in (*needed, *perhaps):
        executable = _executable(name, cwd, near, command.env.get("PATH"), folders)
        if executable is None:
            found.missing += [name] if name in needed else []
            continue
        if name not in BEHIND or name in needed:
            found.named.append(f"{name} = {executable}")
        _note_venv(executable, repo, folders, found)
        _bind_executable(executable, _on_host(executable, folders), found)


def _of_services(scenario: Scenario) -> Iterator[Service]:
    """The services that are started, and their health checks, as programs to be found."""
    for service in scenario.served:
        yield service
        if service.health and not isinstance(service.health, str):
            yield service.model_copy(update={"argv": service.health})


def _words(command: ScenarioCommand | Service) -> list[str]:
    if command.argv[:1] == ("bash",) and len(command.argv) > 2:
        try:
            return ["bash", *shlex.split(command.argv[-1])]
        except ValueError:
            return ["bash"]
    return list(command.argv)


def _command_words(words: list[str]) -> list[str]:
    """Of a shell line: every word that could be an executable. Wrong guesses are not found and cost nothing."""
    return [word for word in dict.fromkeys(words) if re.fullmatch(r"[\w./+-]+", word) and not word.startswith("-")]


def _executable(
    name: str, cwd: Path, near: Iterable[Path], path: str | None, folders: Mapping[Path, Path]
) -> Path | None:
    """Where the executable stands inside; it is looked for where it stands on the host."""
    if "/" in name:
        candidate = Path(os.path.normpath(cwd / name))
        host = _on_host(candidate, folders)
        return candidate if os.access(host, os.X_OK) and not is_folder(host) else None
    for folder in sorted(near, key=lambda folder: len(folder.parts), reverse=True):
        for place in ("bin", ".bin"):
            candidate = folder / place / name
            host = _on_host(candidate, folders)
            if is_file(host) and os.access(host, os.X_OK):
                return candidate
    which = shutil.which(name, path=path) if path else shutil.which(name)
    return Path(which) if which else None


def _on_host(path: Path, folders: Mapping[Path, Path]) -> Path:
    """Where a path that replays see stands on the host: an environment may be another than the live one."""
    inside = next((folder for folder in folders if _within(path, folder)), None)
    return path if inside is None else folders[inside] / path.relative_to(inside)


def _note_venv(executable: Path, repo: Path, folders: Mapping[Path, Path], found: _Found) -> None:
    """Remember the virtual environment that `executable` belongs to, wherever that is."""
    venv = Path(os.path.normpath(executable)).parent.parent
    if venv in found.venvs or not is_file(_on_host(venv, folders) / "pyvenv.cfg"):
        return
    if venv in folders or (not _within(venv, repo) and _may_bind(venv, repo)):
        found.venvs.append(venv)


def _bind_executable(executable: Path, host: Path, found: _Found) -> None:
    for root in interpreter_roots(host):
        found.binds[root] = root
    found.env |= interpreter_env(host)
    if str(executable.parent) not in found.path:
        found.path.append(str(executable.parent))


def _bind_venv(venv: Path, real: Path, repo: Path, found: _Found) -> None:
    """Bind a virtual environment, the interpreter behind it, and the folders of code that it refers to."""
    found.named.append(f"environment {venv}")
    found.binds[venv] = real
    for name in ("python", "python3"):
        if is_file(real / "bin" / name):
            found.binds |= {root: root for root in interpreter_roots(real / "bin" / name)}
    for folder in code_folders(real):
        if not _within(folder, repo) and not _within(folder, real) and _may_bind(folder, repo):
            found.binds[folder] = folder


def code_folders(venv: Path) -> tuple[Path, ...]:
    """Existing folders that `.pth` files and editable finders of an environment put on the import path."""
    named: dict[Path, None] = {}
    for site in sorted(venv.glob("lib*/python*/site-packages")):
        for pth in sorted(site.glob("*.pth")):
            for line in _text(pth).splitlines():
                if line.startswith("/"):
                    named[Path(line.strip())] = None
        for finder in sorted(site.glob("__editable__*_finder.py")):
            for target in _mapping(_text(finder)):
                named[Path(target).parent] = None
    return tuple(folder for folder in named if is_folder(folder))


def _mapping(text: str) -> tuple[str, ...]:
    match = _MAPPING.search(text)
    if not match:
        return ()
    try:
        mapping = ast.literal_eval(match.group(1))
    except (ValueError, SyntaxError):
        return ()
    return tuple(value for value in mapping.values() if isinstance(value, str) and value.startswith("/"))


def _text(path: Path) -> str:
    return (read_small(path, 1 << 20) or b"").decode("utf-8", "replace")


def _may_bind(path: Path, repo: Path) -> bool:
    """Whether a folder that the repository's owner named may be shown to a replay, and hides nothing of the tree."""
    try:
        real = admissible(path)
    except RunRefused:
        return False
    return real not in repo.parents


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


# --- generated files ----------------------------------------------------------------------------------


def _copy_generated(repo: Path, tree_files: Collection[str], copies: Path) -> Iterator[tuple[Path, Overlay]]:
    """Copy ignored generated files that stand beside what they are made from: (copy, overlay), bounded in all ways."""
    present = _prefixes(tree_files)
    folders = sorted({path.rpartition("/")[0] for path in tree_files if path.endswith(_BESIDE)})
    room = OVERLAY_BYTES_MAX
    count = 0
    for folder in folders[:SCANNED_FOLDERS_MAX]:
        for name in _names(repo, folder):
            path = f"{folder}/{name}" if folder else name
            if path in present or not _GENERATED.search(name) or count >= OVERLAYS_MAX:
                continue
            content = _regular_file(repo / path, room)
            if content is None:
                continue
            room -= len(content)
            count += 1
            copy = copies / str(count)
            copies.mkdir(exist_ok=True)
            copies.chmod(0o755)
            copy.write_bytes(content)
            copy.chmod(0o755 if name.endswith((".so", ".pyd")) else 0o644)
            yield copy, Overlay(path=path, sha256=hashlib.sha256(content).hexdigest())


def _names(repo: Path, folder: str) -> list[str]:
    place = repo / folder
    try:
        if not _within(place.resolve(strict=True), repo.resolve()):
            return []
        return sorted(entry.name for entry in os.scandir(place))
    except (OSError, RuntimeError):
        return []


def _regular_file(path: Path, room: int) -> bytes | None:
    """The bytes of a regular file of at most `room` bytes; None for anything else. Follows no link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > room:
            return None
        return file.read(room)


def _variables(found: _Found) -> dict[str, str]:
    """PATH with environments first, the rest in the order of the daemon's own PATH; and what keeps tools off line."""
    order = os.environ.get("PATH", "").split(":")
    known = sorted(found.path, key=lambda folder: order.index(folder) if folder in order else len(order))
    path = dict.fromkeys((*(str(venv / "bin") for venv in found.venvs), *known, *SYSTEM_PATH))
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "CARGO_NET_OFFLINE": "true"}
    env = {**found.env, **offline, "PATH": ":".join(path)}
    if found.venvs:
        env["VIRTUAL_ENV"] = str(found.venvs[0])
    return env
