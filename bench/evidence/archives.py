"""What the pairs are made of, fetched once: release archives by their digest, environments by their lock's.

Everything comes through pip and npm as the machine has them set up, and is kept in the user's cache, never in a
repository. An archive is used when its digest is the pinned one, whoever delivered it; an environment is installed from
a lock with hashes, and is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.evidence.pairs import Pair, Release

HERE = Path(__file__).parent
PATIENCE_S = 900.0


class NotFetched(Exception):
    """Something could not be had from its registry, or was not what is pinned; the message says what."""


def cache() -> Path:
    """Where downloads are kept: XDG's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "learnd-bench"


def archive(pair: Pair, release: Release) -> Path:
    """The release's archive. Raises NotFetched."""
    kept = cache() / "archives" / f"{release.sha256}.tar.gz"
    if not kept.is_file():
        with tempfile.TemporaryDirectory(dir=_made(kept.parent)) as folder:
            fetch = _from_pypi if pair.registry == "pypi" else _from_npm
            fetched = fetch(pair.package, release.version, Path(folder))
            fetched.rename(kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    if found != release.sha256:
        kept.unlink()
        raise NotFetched(f"{pair.package} {release.version}: sha256 {found}, pinned is {release.sha256}")
    return kept


def _from_pypi(package: str, version: str, folder: Path) -> Path:
    # pip reads a distribution's metadata by its build backend, which must be a pinned one as well.
    _run([
        str(python_environment() / "bin/python"), "-m", "pip", "download", "--quiet", "--no-deps",
        "--no-build-isolation", "--no-binary", ":all:", "--dest", str(folder), f"{package}=={version}",
    ])  # fmt: skip
    return next(folder.glob("*.tar.gz"))


def _from_npm(package: str, version: str, folder: Path) -> Path:
    _run(["npm", "pack", "--silent", "--ignore-scripts", f"{package}@{version}"], folder)
    return next(folder.glob("*.tgz"))


def python_environment() -> Path:
    """A virtual environment with what `python.lock` names; it works wherever it is copied to. Raises NotFetched."""
    return _prepared("python", [HERE / "python.lock"], _install_python)


def node_modules() -> Path:
    """The `node_modules` that `node/package-lock.json` names. Raises NotFetched."""
    lock = [HERE / "node/package.json", HERE / "node/package-lock.json"]
    return _prepared("node", lock, _install_node) / "node_modules"


def _install_python(folder: Path) -> None:
    _run([sys.executable, "-m", "venv", str(folder)])
    lock = ["--require-hashes", "-r", str(HERE / "python.lock")]
    _run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-build-isolation", *lock])


def _install_node(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "node" / name, folder)
    _run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _prepared(kind: str, locks: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """The folder that `install` fills, made once for what `locks` say under this interpreter."""
    made_of = [sys.version.encode(), *(lock.read_bytes() for lock in locks)]
    place = cache() / "environments" / f"{kind}-{hashlib.sha256(b''.join(made_of)).hexdigest()[:16]}"
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=_made(place.parent)) as folder:
            building = Path(folder) / "whole"
            building.mkdir()
            install(building)
            building.rename(place)
    return place


def unpack(source: Path, into: Path) -> None:
    """Lay an archive's files over `into`, without the folder that all of them are in."""
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        with tarfile.open(source) as tar:
            tar.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        shutil.copytree(root, into, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copy)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(argv: Sequence[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=PATIENCE_S
        )
    except subprocess.CalledProcessError as error:
        raise NotFetched(f"{' '.join(argv)}: exit code {error.returncode}: {error.stderr[-600:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(f"{' '.join(argv)}: {error}") from error
