"""`make crash`: the daemon killed at every point of a whole job, one run a point: all points
with the embedded author, and with a model on loopback those at which money is reserved, spent and settled.

Prints what was covered, effect by effect, and every point whose end was another one than that of an undisturbed job.
`--only TEXT` takes the points whose name has TEXT in it; `--every N` takes each N-th.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

from crash_place import AUTHORS, End, Point, Sample, author, uncovered  # noqa: E402 - found by the line above

OF_THE_AUTHOR = ("append", "crystalize", "stage_pattern")
"""Where another author makes a difference; all other points are passed with the embedded one."""


def main() -> int:
    asked = arguments()
    folder = Path(tempfile.mkdtemp(prefix="learnd-crash-"))
    failed = 0
    for name in AUTHORS:
        failed += crash(name, folder / name, asked)
    if not failed:
        shutil.rmtree(folder)
    print("all as if nothing had happened" if not failed else f"{failed} failed; look into {folder}")
    return 1 if failed else 0


def crash(name: str, folder: Path, asked: argparse.Namespace) -> int:
    """Every point of one whole job; how many failed."""
    with author(name) as server:
        points, end = Sample(folder / "dry", server).dry_run()
    missing = uncovered(points)
    print(f"author {name}: {len(points)} points in {describe(points)}")
    if missing:
        print(f"effects without any point: {', '.join(missing)}")
        return 1
    if name != "extractive":
        points = [point for point in points if point.place in OF_THE_AUTHOR]
    chosen = [point for point in with_during(points) if asked.only in point.name][:: asked.every]
    began, failed, unreached = time.monotonic(), 0, Counter[str]()
    with ThreadPoolExecutor(asked.jobs) as pool:
        runs = [pool.submit(one, name, folder / f"{number:04}", point, end) for number, point in enumerate(chosen)]
        for number, (point, run) in enumerate(zip(chosen, runs, strict=True), 1):
            outcome = run.result()
            if outcome == "not reached":
                unreached[point.place] += 1
            elif outcome:
                failed += 1
                print(f"{point.name} ({point.event} {point.detail[:80]})\n{outcome}", flush=True)
            if number % 50 == 0:
                print(f"  {number} of {len(chosen)}, {time.monotonic() - began:.0f} s, {failed} failed", flush=True)
    print(f"author {name}: {len(chosen)} kills, {failed} failed, not reached: {dict(unreached) or 'none'}", flush=True)
    # What another thread does in between may come in another order; what the job's own threads do may not.
    return failed + sum(count for place, count in unreached.items() if place not in ("publish", "start", "intake"))


def one(name: str, folder: Path, point: Point, end: End) -> str:
    """What is wrong after a kill at `point`: nothing, `not reached`, or the difference."""
    with author(name) as server:
        sample = Sample(folder, server)
        try:
            reached = sample.killed_at(point.name)
            sample.holds(end)
        except Exception:  # noqa: BLE001 - a harness says what happened and goes on with the next point
            return traceback.format_exc()
    shutil.rmtree(folder)
    return "" if reached else "not reached"


def with_during(points: list[Point]) -> Iterator[Point]:
    """Each point, and for one that starts a process the moment in which that process works."""
    for point in points:
        yield point
        if point.event == "subprocess.Popen":
            yield point.during


def describe(points: list[Point]) -> str:
    return ", ".join(f"{place} {count}" for place, count in Counter(point.place for point in points).items())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="daemons at the same time")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
