"""Every limit is hit by something that wants more, and the result names it."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sandbox_place import LIMITS, Place, Run, wait_for

from learnd.lab.limits import MIB, refused
from learnd.lab.sandbox import Sandbox

pytestmark = pytest.mark.sandbox
Alive = Callable[[str], list[int]]


def test_wall_time_ends_everything(run: Run, alive: Alive) -> None:
    seconds = f"60.{secrets.randbits(32)}"
    result = run("sh", "-c", f"echo before; trap '' TERM; sleep {seconds}", limits=replace(LIMITS, wall_s=0.5))
    assert (result.limit, result.exit_code, result.output) == ("wall", None, b"before\n")
    assert alive(seconds) == []


def test_cpu_time_ends_a_busy_loop(run: Run) -> None:
    result = run("sh", "-c", "while :; do :; done", limits=replace(LIMITS, cpu_s=1))
    assert result.limit == "cpu"


def test_a_large_file_ends_its_writer(run: Run, place: Place) -> None:
    result = run("dd", "if=/dev/zero", "of=large", "bs=1M", "count=8", limits=replace(LIMITS, file_mb=2))
    assert result.limit == "file"
    assert (place.tree / "large").stat().st_size == 2 * MIB


def test_a_flood_of_output_is_cut_and_ended(run: Run) -> None:
    result = run("yes")
    assert result.limit == "output"
    assert len(result.output) == MIB


def test_output_up_to_the_limit_is_whole(run: Run) -> None:
    result = run("head", "-c", str(MIB - 1), "/dev/zero")
    assert (result.limit, result.exit_code, len(result.output)) == (None, 0, MIB - 1)


def test_a_disk_filler_of_many_small_files_is_ended(run: Run) -> None:
    fill = "i=0; while :; do i=$((i+1)); dd if=/dev/urandom of=f$i bs=1M count=4 status=none; done"
    result = run("sh", "-c", fill, limits=replace(LIMITS, disk_mb=16))
    assert result.limit == "disk"


def test_what_others_write_to_the_disk_ends_no_replay(run: Run, place: Place) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run, "sh", "-c", "touch begun; sleep 1", limits=replace(LIMITS, disk_mb=4))
        wait_for(place.tree / "begun")
        (place.outside.parent / "of another").write_bytes(os.urandom(12 * MIB))
        assert (running.result().limit, running.result().exit_code) == (None, 0)


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_memory_file_systems_are_bounded_and_a_full_one_ends_the_replay(run: Run, folder: str) -> None:
    fill = f"for i in 1 2 3; do dd if=/dev/zero of={folder}/f$i bs=1M count=1 status=none; done; sleep 60"
    result = run("sh", "-c", fill, limits=replace(LIMITS, file_mb=2))
    # Whoever watches may be faster than dd is with its sentence, which is written in pieces.
    sentence = b"dd: error writing '" + folder.encode() + b"/f"
    assert sentence.startswith(result.output[: len(sentence)])
    assert result.limit == "disk"


def test_memory_is_refused_beyond_the_limit_and_the_words_name_it(python: Run) -> None:
    result = python("bytearray(400 << 20)", limits=replace(LIMITS, memory_mb=256))
    assert refused(result.output.decode()) == "memory"
    assert python("bytearray(100 << 20)", limits=replace(LIMITS, memory_mb=256)).exit_code == 0


MANY = """
import os, time
for _ in range({count}):
    if os.fork() == 0:
        mine = bytearray({size} << 20)
        mine[::4096] = b"x" * len(mine[::4096])
        time.sleep({seconds})
        os._exit(0)
shared = bytearray({shared} << 20)
shared[::4096] = b"x" * len(shared[::4096])
[os.fork() or (time.sleep({seconds}), os._exit(0)) for _ in range(4)]
time.sleep({seconds})
"""


def test_memory_of_all_processes_together_is_bounded(python: Run) -> None:
    eaters = MANY.format(count=6, size=60, shared=0, seconds=60)
    assert python(eaters, limits=replace(LIMITS, memory_mb=256)).limit == "memory"


def test_memory_that_forks_share_counts_once(python: Run) -> None:
    forks = MANY.format(count=0, size=0, shared=100, seconds=0.8)
    result = python(forks, limits=replace(LIMITS, memory_mb=256))
    assert (result.limit, result.exit_code) == (None, 0)


def test_a_fork_bomb_is_ended_and_leaves_nothing(python: Run, alive: Alive) -> None:
    mark = secrets.token_hex(8)
    program = f"""
import os
mark = {mark!r}
while True:
    try:
        os.fork()
    except BlockingIOError:
        pass
"""
    assert python(program, limits=replace(LIMITS, processes=40)).limit == "processes"
    assert alive(mark) == []


def test_processes_are_refused_at_the_limit(python: Run) -> None:
    program = """
import os, time
most = 0
for _ in range(1000):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except BlockingIOError:
        break
    most += 1
print(most, flush=True)
os._exit(0)
"""
    assert 20 < int(python(program, limits=replace(LIMITS, processes=40)).output) < 40


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("open('large', 'wb').write(bytes(4 << 20))", "file"),
        ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
         "processes"),
        ("open('/dev/shm/a', 'wb').write(bytes(1 << 21)); open('/dev/shm/b', 'wb').write(bytes(1 << 21))", "disk"),
    ],
)  # fmt: skip
def test_what_a_refused_program_says_names_the_limit(python: Run, program: str, name: str) -> None:
    result = python(program, limits=replace(LIMITS, file_mb=3, processes=32))
    assert name in (result.limit, refused(result.output.decode()))


def test_words_that_name_no_limit_name_none() -> None:
    assert refused("AssertionError: 5 != 4\nBlockingIOError: [Errno 11] Resource temporarily unavailable") is None


def test_the_hosts_own_processes_do_not_count(python: Run, place: Place, sandbox: Sandbox) -> None:
    # Two replays of one user at a time, each of which needs more than half of the limit.
    program = "import os, time; [os.fork() or (time.sleep(1), os._exit(0)) for _ in range(25)]; print('all')"
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(python, program, limits=replace(LIMITS, processes=40)) for _ in range(2)]
    assert [one.result().output for one in both] == [b"all\n", b"all\n"]


def test_cancelling_ends_a_replay_and_says_so(sandbox: Sandbox, place: Place, alive: Alive) -> None:
    seconds = f"60.{secrets.randbits(32)}"
    cancel = threading.Event()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(sandbox.run, place.spec("sh", "-c", f"touch begun; sleep {seconds}"), cancel)
        wait_for(place.tree / "begun")
        assert alive(seconds)
        cancel.set()
        result = running.result(timeout=20)
    assert (result.cancelled, result.exit_code, result.limit) == (True, None, None)
    assert alive(seconds) == []


def test_nothing_is_started_once_cancelled(sandbox: Sandbox, place: Place) -> None:
    cancel = threading.Event()
    cancel.set()
    assert sandbox.run(place.spec("touch", "begun"), cancel).cancelled
    assert not (place.tree / "begun").exists()


def test_replays_go_first_when_memory_runs_out(run: Run) -> None:
    assert run("cat", "/proc/self/oom_score_adj").output == b"1000\n"


def test_daemons_of_a_test_die_with_it(python: Run, place: Place, alive: Alive) -> None:
    mark = secrets.token_hex(8)
    program = f"""
import os, time
mark = {mark!r}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        while True:
            open("beat", "a").write("x")
            time.sleep(0.01)
    os._exit(0)
while not os.path.exists("beat"):
    time.sleep(0.01)
"""
    assert python(program).exit_code == 0
    size = (place.tree / "beat").stat().st_size
    assert alive(mark) == []
    time.sleep(0.1)
    assert (place.tree / "beat").stat().st_size == size
