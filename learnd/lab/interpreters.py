"""Where an interpreter or toolchain lives, found by reading links and files, never by executing it.

What a repository names as its interpreter may be anything: it is asked for its version inside the sandbox, never
outside. Here only its place is worked out, so that it can be bound: virtual environments lead by `pyvenv.cfg` and by
links to a base (pyenv, uv, conda, a distribution's), node, go and rust live in a prefix of their own (nvm, fnm, asdf,
rustup). A prefix counts only when the toolchain's own files are in it, for `~/bin/python` must not bind a home; what
`binds.py` would refuse is left out, and the command then fails inside as not found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from learnd.lab.binds import RunRefused, admissible

SYSTEM: Final = tuple(Path(folder) for folder in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"))
"""What every sandbox sees anyway."""

MARKS: Final = (
    "lib/python3*/os.py",
    "lib/node_modules/npm",
    "include/node/node.h",
    "src/runtime/runtime.go",
    "lib/rustlib",
)
"""Files by which a prefix is known to be one of Python, Node, Go or Rust."""

MOST_LINKS: Final = 40
MOST_CONFIG_BYTES: Final = 65536


def is_file(path: Path) -> bool:
    """Whether there is a file at `path`, as far as may be seen: pathlib raises where a folder may not be entered."""
    return os.path.isfile(path)  # noqa: PTH113 - as said


def is_folder(path: Path) -> bool:
    """As `is_file`, for folders."""
    return os.path.isdir(path)  # noqa: PTH112 - as said


def interpreter_roots(executable: Path) -> tuple[Path, ...]:
    """What must be bound, each at its own path, for `executable` (absolute) to start; () when all of it is visible.

    A link to a folder is returned beside the folder it leads to, for both names are used. An executable of a virtual
    environment gives the base's roots, not the environment itself.
    """
    if "node_modules" in executable.parts:
        return ()
    roots: dict[Path, None] = {}
    for start in _starts(executable):
        for hop in _hops(start):
            for root in _roots_of(hop):
                roots.update(dict.fromkeys((root, _real(root))))
    shown = [root for root in roots if not _visible(root) and _may_show(root)]
    return tuple(root for root in shown if not any(root != other and root.is_relative_to(other) for other in shown))


def interpreter_env(executable: Path) -> dict[str, str]:
    """Variables by which a toolchain finds its parts when HOME is another than where it was installed."""
    for hop in _hops(executable):
        if _is_rustup(hop):
            cargo = hop.parent.parent
            return {"CARGO_HOME": str(cargo), "RUSTUP_HOME": str(_rustup_home(cargo))}
        if hop.parent.name == "shims" and is_folder(hop.parent.parent / "versions"):
            return {"PYENV_ROOT": str(hop.parent.parent)}
    return {}


def _starts(executable: Path) -> Iterator[Path]:
    """The executable; or, in a virtual environment, the base interpreters that its configuration and links name."""
    environment = executable.parent.parent
    home = _configured_home(environment / "pyvenv.cfg")
    if home is None:
        yield executable
        return
    inside = _real(environment)
    for folder in (environment / "bin", home):
        for name in ("python", "python3"):
            outside = [hop for hop in _hops(folder / name) if not hop.is_relative_to(inside)]
            yield from (hop for hop in outside if not hop.is_relative_to(environment))


def _configured_home(config: Path) -> Path | None:
    try:
        with config.open("rb") as file:
            text = file.read(MOST_CONFIG_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip().startswith("/"):
            return Path(value.strip())
    return None


def _hops(start: Path) -> Iterator[Path]:
    """Every name an executable goes by, link by link, each also with its folder resolved."""
    at = start
    for _ in range(MOST_LINKS):
        if not os.path.lexists(at):
            return
        yield at
        real = _real(at.parent) / at.name
        if real != at:
            yield real
        if not real.is_symlink():
            return
        target = real.parent / real.readlink()
        at = _real(target.parent) / target.name


def _real(path: Path) -> Path:
    """Resolved as far as it can be: links in a circle are an agent's doing, not an error (Path.resolve raises)."""
    return Path(os.path.realpath(path))


def _roots_of(hop: Path) -> Iterator[Path]:
    prefix = hop.parent.parent
    if _is_rustup(hop):
        places = (hop.parent, prefix / "registry", prefix / "git", _rustup_home(prefix))
        yield from (place for place in places if is_folder(place))
    elif hop.parent.name == "shims" or _is_toolchain(hop):
        yield prefix
    else:
        yield hop


def _is_toolchain(hop: Path) -> bool:
    prefix = hop.parent.parent
    return hop.parent.name == "bin" and _may_show(prefix) and any(next(prefix.glob(mark), None) for mark in MARKS)


def _is_rustup(hop: Path) -> bool:
    """Cargo's and rustc's names in rustup's folder are links to it, hard or soft, which choose the toolchain."""
    rustup = hop.parent / "rustup"
    return hop.parent.name == "bin" and is_file(rustup) and is_file(hop) and rustup.samefile(hop)


def _rustup_home(cargo: Path) -> Path:
    return cargo.parent / ".rustup"


def _visible(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SYSTEM)


def _may_show(path: Path) -> bool:
    try:
        admissible(path)
    except RunRefused:
        return False
    return True
