"""A job in a repository with one folder shut to everybody: run by the test as another user than root."""

from __future__ import annotations

import sys
from pathlib import Path

from hostile_place import changed_run, defined, place


def main(home: Path, at: str) -> None:
    with place(home) as here:
        changed_run(here)
        folder = here.repo / at
        folder.mkdir(parents=True, exist_ok=True)
        shut: list[Path] = []

        def shut_it() -> None:
            folder.chmod(0)
            shut.append(folder)

        if at == ".runs":
            here.when("taking the snapshot", shut_it)
        else:
            here.when("taking the snapshot" if at in (".", ".git") else "writing down", shut_it)
        job = here.settle()
        assert shut
        assert defined(job.status), job
        assert job.cause != "internal_error", job
        print(job.status, job.cause)


main(Path(sys.argv[1]), sys.argv[2])
