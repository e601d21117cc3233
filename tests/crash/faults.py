"""`make faults`: system calls that kill the writer or fail, at every sync and at every third write of a log's life.

After each, a second writer that nobody disturbs ends the work. Prints what was struck, and every fault after which
something acknowledged was lost, something was there twice, or the work did not end.
"""

from __future__ import annotations

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

from fault_place import KILL, Fault, Torn, Writing, may_trace  # noqa: E402 - found by the line above

CALLS = ("fdatasync", "fsync", "ftruncate", "unlink", "pwrite64")
EVERY = {"pwrite64": 3}
TEARS = 300
EIO, ENOSPC = "error=EIO", "error=ENOSPC"


def main() -> int:
    if not may_trace():
        print("strace is missing or may not trace here. Next: apt install strace", file=sys.stderr)
        return 1
    counts = counted()
    faults = [*kills(counts), *errors(counts)]
    print(
        f"one life of the log: {', '.join(f'{count} {call}' for call, count in counts.items())}; {len(faults)} faults"
    )
    began, failed, outcomes = time.monotonic(), 0, Counter[str]()
    with tempfile.TemporaryDirectory(prefix="learnd-faults-") as folder, ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(one, Path(folder) / str(number), fault) for number, fault in enumerate(faults)]
        for number, (fault, run) in enumerate(zip(faults, runs, strict=True), 1):
            wrong, outcome = run.result()
            outcomes[f"{fault.call} {fault.what}: {outcome}"] += 1
            if wrong:
                failed += 1
                print(f"{fault}\n{wrong}", flush=True)
            if number % 50 == 0:
                print(f"  {number} of {len(faults)}, {time.monotonic() - began:.0f} s, {failed} failed", flush=True)
        failed += torn(Path(folder), outcomes)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:5} × {outcome}")
    print(f"{len(faults)} faults and {TEARS} torn side files, {failed} failed")
    return 1 if failed else 0


def torn(folder: Path, outcomes: Counter[str]) -> int:
    """Tear a write-ahead log in many ways; how many were answered wrongly."""
    log, failed = Torn.make(folder), 0
    for seed in range(TEARS):
        try:
            outcomes[f"torn side file: {log.tear(folder / f'torn-{seed}', seed)}"] += 1
        except Exception:  # noqa: BLE001 - as below
            failed += 1
            print(f"torn side file, seed {seed}\n{traceback.format_exc()}", flush=True)
    return failed


def one(folder: Path, fault: Fault) -> tuple[str, str]:
    """What is wrong after `fault` (nothing, mostly), and how the writer that it struck ended."""
    folder.mkdir()
    try:
        lines = Writing(folder).strikes(fault)
    except Exception:  # noqa: BLE001 - a harness says what happened and goes on with the next fault
        return traceback.format_exc(), "wrong"
    words = [line.split()[0] for line in lines]
    failures = f" after {words.count('failed')} refused appends" if "failed" in words else ""
    return "", (words[-1] if words else "nothing said") + failures


def counted() -> dict[str, int]:
    """How often a writer that nobody disturbs makes each call."""
    with tempfile.TemporaryDirectory(prefix="learnd-faults-") as folder:
        trace = Path(folder) / "trace"
        argv = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={','.join(CALLS)}"]
        code, _ = Writing(Path(folder)).run(prefix=argv)
        assert code == 0
        text = trace.read_text()
    return {call: text.count(f" {call}(") for call in CALLS}


def kills(counts: dict[str, int]) -> Iterator[Fault]:
    for call, count in counts.items():
        for number in range(1, count + 1, EVERY.get(call, 1)):
            yield Fault(call, KILL, number)


def errors(counts: dict[str, int]) -> Iterator[Fault]:
    """A sync that fails once, twice, for good; writes that find no room, or a broken disk, for a while."""
    syncs, writes = counts["fdatasync"], counts["pwrite64"]
    for number in range(1, syncs + 1):
        yield Fault("fdatasync", EIO, number)
    for number in range(1, syncs + 1, 3):
        yield Fault("fdatasync", EIO, number, number + 1)
        yield Fault("fdatasync", EIO, number, None)
    for number in range(1, writes + 1, 20):
        yield Fault("pwrite64", ENOSPC, number, number + 7)
        yield Fault("pwrite64", EIO, number, number + 2)


if __name__ == "__main__":
    sys.exit(main())
