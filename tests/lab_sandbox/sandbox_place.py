"""The folders and the specification of one replay, for tests of the sandbox."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from learnd.lab.interpreters import interpreter_roots
from learnd.lab.limits import Limits
from learnd.lab.sandbox import SandboxResult, SandboxRun

Run = Callable[..., SandboxResult]
LIMITS = Limits(wall_s=30, memory_mb=1024, processes=64, file_mb=16, output_mb=1)
PYTHON = str(Path(sys.executable).resolve())


@dataclass(frozen=True)
class Place:
    """The folders of one replay: `outside` is a place on the host that it must neither see nor change."""

    tree: Path
    report: Path
    origin: Path
    outside: Path

    def spec(self, *argv: str, **changes: object) -> SandboxRun:
        roots = interpreter_roots(Path(sys.executable))
        spec = SandboxRun(
            argv,
            self.tree,
            self.origin,
            self.report,
            LIMITS,
            owner_uid=os.getuid(),
            owner_gid=os.getgid(),
            read_only_binds=tuple((root, root) for root in roots),
        )
        return replace(spec, **changes)  # type: ignore[arg-type]


def wait_for(path: Path, seconds: float = 30) -> None:
    """Until a file is there; a failure, not a hang, when it never comes."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)
