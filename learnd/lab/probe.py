"""The foreign-code probe: which file did Python really load for each changed module?

A replay proves nothing about the restored tree when the tests import a copy that was installed elsewhere. So every
Python process of a replay loads a `sitecustomize` of ours (first on PYTHONPATH, from a read-only folder outside the
tree). Its audit hook sees each module's code as it is executed and writes down those that are, or look like, a changed
module. An audit hook cannot be taken away again, and each line is written at once, so `os._exit`, a fork server or a
killed worker lose nothing. The `sitecustomize` that ours stands in front of is run after it.

A module is *ours* when its file is exactly the changed file of the restored tree (an environment inside the tree does
not count), *foreign* when it would be imported by the same dotted name from another entry of `sys.path`.

There is no probe for other languages; the evidence then says so. What holds there is the causal part of it: base and
snapshot differ in nothing but the change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROBE_AT = "/learnd/probe"
"""Where the probe's folder is bound inside the sandbox."""

REPORT_PREFIX = "learnd-probe-"
_REPORT_MAX = 1 << 20
_SOURCE_ROOTS = ("src", "lib", "python", "source")

SITECUSTOMIZE = r'''
import json, os, sys

def _learnd_probe():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "watched.json"), encoding="utf-8") as file:
        watched = json.load(file)
    root, report = watched["root"], watched["report"]
    exact = {os.path.join(root, path): path for path in watched["tails"]}
    by_name = {}
    for path, tail in watched["tails"].items():
        by_name.setdefault(os.path.basename(tail), []).append((os.sep + tail, path))
    seen = set()

    def write(kind, path, found):
        if (kind, path, found) in seen:
            return
        seen.add((kind, path, found))
        line = json.dumps([kind, path, found]) + "\n"
        name = os.path.join(report, watched["prefix"] + str(os.getpid()))
        try:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError:
            return
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def look(found):
        candidates = by_name.get(os.path.basename(found))
        if not candidates:
            return
        found = os.path.abspath(found)
        real = os.path.realpath(found)
        path = exact.get(found) or exact.get(real)
        if path:
            write("ours", path, found)
            return
        entries = {os.path.realpath(entry or os.getcwd()) for entry in sys.path if isinstance(entry, str)}
        for tail, path in candidates:
            if real.endswith(tail) and real[: -len(tail)] in entries:
                write("foreign", path, found)

    busy = []

    def hook(event, args):
        if event != "exec" or busy:
            return
        busy.append(1)
        try:
            found = getattr(args[0], "co_filename", None)
            if isinstance(found, str):
                look(found)
        finally:
            busy.pop()

    write("started", "", sys.executable or "")
    sys.addaudithook(hook)

    def main_module():
        found = getattr(sys.modules.get("__main__"), "__file__", None)
        if isinstance(found, str):
            look(found)

    import atexit
    atexit.register(main_module)
    return here

def _learnd_next(here):
    """Run the sitecustomize that ours stands in front of."""
    import importlib.machinery
    import importlib.util
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)

_learnd_next(_learnd_probe())
'''


@dataclass(frozen=True)
class Loaded:
    """What the probe saw. `started` is false when no Python process loaded the probe at all."""

    started: bool = False
    ours: frozenset[str] = frozenset()
    foreign: tuple[tuple[str, str], ...] = ()
    """(changed path, the file that was loaded in its stead)."""


def watched_modules(changed: Iterable[str], files: frozenset[str]) -> dict[str, str]:
    """Changed Python sources → the tail by which the same module would be found under another `sys.path` entry.

    `files` are all files of the trees: a folder with `__init__.py` is a package, the first one without ends the dotted
    name. A module in no package keeps its path without a leading source root (namespace packages).
    """
    return {path: _tail(PurePosixPath(path), files) for path in changed if path.endswith(".py")}


def _tail(path: PurePosixPath, files: frozenset[str]) -> str:
    top = path.parent
    while top.parts and str(top / "__init__.py") in files:
        top = top.parent
    in_package = top != path.parent
    if in_package:
        return str(path.relative_to(top))
    parts = path.parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] in _SOURCE_ROOTS else parts)


def write_probe(folder: Path, root: Path, tails: dict[str, str], report_inside: str) -> None:
    """Write the probe's folder, to be bound read-only at PROBE_AT. `root` is where the tree stands inside."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    watched = {"root": str(root), "report": report_inside, "prefix": REPORT_PREFIX, "tails": tails}
    (folder / "watched.json").write_text(json.dumps(watched))
    folder.chmod(0o755)


def read_probe(report: Path) -> Loaded:
    """What the processes of one replay reported. Lines a test garbled are left out; links are not followed."""
    started = False
    ours: set[str] = set()
    foreign: set[tuple[str, str]] = set()
    for file in sorted(report.glob(f"{REPORT_PREFIX}*")):
        if file.is_symlink() or not file.is_file():
            continue
        with file.open("rb") as stream:
            lines = stream.read(_REPORT_MAX).decode("utf-8", "replace").splitlines()
        for kind, path, found in filter(None, map(_line, lines)):
            started = True
            if kind == "ours":
                ours.add(path)
            elif kind == "foreign":
                foreign.add((path, found))
    return Loaded(started, frozenset(ours), tuple(sorted(foreign)))


def _line(text: str) -> tuple[str, str, str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value):
        return (value[0], value[1], value[2])
    return None
