"""Trials of one control: a change with a race in its tests, three in ten times lost. Each must be called `flaky`.

    python tests/controls/race.py [--trials 100] [--seed 1] [--only-with-change]

Whether a replay loses is drawn outside of it: a socket that the replays are shown hands out one draw a connection, from
a generator with the trial's own seed. So trials are equal from one run to the next, and nothing in the sandbox knows
more than it would of a true race.

What to expect follows from n, the replays a side that are made as long as they agree (`expected`).
"""

from __future__ import annotations

import argparse
import math
import random
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "controls")]

from control_place import Control, told  # noqa: E402 - found by the path above
from planted_code import FIXED  # noqa: E402

from learnd.settings import Lab  # noqa: E402
from learnd.verbs import diagnostics  # noqa: E402

LOST = 0.3
REPLAYS = 10
WANTED = 95
RACE = """
    def test_race(self):
        import calc, socket

        if ALWAYS or hasattr(calc, "RACES"):
            with socket.socket(socket.AF_UNIX) as chance:
                chance.connect("SOCKET")
                self.assertEqual(chance.recv(4), b"won")
"""


def expected(n: int, *, only_with_change: bool, lost: float = LOST) -> float:
    """The probability that n replays a side disagree on at least one side.

    A snapshot that loses every time is `failed`. One that always wins is given away by the base, where that races too.
    """
    never, always = lost**n, (1 - lost) ** n
    return 1 - never - (always if only_with_change else always * (never + always))


def trial(number: int, *, seed: int, only_with_change: bool) -> str:
    """What is said of one such change."""
    diagnostics.configure(quiet=True)
    with tempfile.TemporaryDirectory(prefix="learnd-race-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o755)
        (folder / "shown").mkdir()
        with _chance(folder / "shown/chance", random.Random(f"{seed}:{number}")):  # noqa: S311 - repeatable on purpose
            tests = RACE.replace("SOCKET", str(folder / "shown/chance")).replace("ALWAYS", str(not only_with_change))
            control = Control(
                {"calc.py": f"{FIXED['calc.py']}\n\nRACES = True\n", "test_calc.py": FIXED["test_calc.py"] + tests}, ()
            )
            lab = Lab(
                replays_max=REPLAYS, cheap_seconds=3600, flaky_seconds=0, hunk_seconds=0, minimal_seconds=0,
                extra_binds=(folder / "shown",),
            )  # fmt: skip
            return told(folder / "learned", control, lab).said


@contextmanager
def _chance(path: Path, generator: random.Random) -> Iterator[None]:
    """A socket that tells whoever connects whether they won, each as the generator has it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o777)
        listening.listen()
        thread = threading.Thread(target=_hand_out, args=(listening, generator), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _hand_out(listening: socket.socket, generator: random.Random) -> None:
    with suppress(OSError):  # shut down
        while True:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"lost" if generator.random() < LOST else b"won")


def main() -> int:
    """Run the trials and say how they came out; 1 when fewer than 95 in 100 were `flaky`, or any was proven.

    Where only the change races, 1 when fewer were than chance allows.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--only-with-change", action="store_true", help="the base does not race: the harder case")
    chosen = parser.parse_args()
    one = partial(trial, seed=chosen.seed, only_with_change=chosen.only_with_change)
    said: Counter[str] = Counter()
    with ProcessPoolExecutor(chosen.at_once) as pool:
        for number, found in enumerate(pool.map(one, range(chosen.trials)), 1):
            said[found] += 1
            print(f"\r{number} of {chosen.trials}: {dict(said.most_common())}", end="", flush=True)
    flaky = sum(count for found, count in said.items() if found.startswith("flaky:"))
    chance = expected(REPLAYS, only_with_change=chosen.only_with_change)
    print(f"\nflaky: {flaky} of {chosen.trials}; expected are {chance * chosen.trials:.1f}, for a test that is lost")
    print(f"{LOST:.0%} of the time escapes {REPLAYS} replays a side with a probability of {1 - chance:.2%}")
    if chosen.only_with_change:  # what ten replays cannot see, they cannot: three deviations below what is expected
        return int(flaky < chosen.trials * chance - 3 * math.sqrt(chosen.trials * chance * (1 - chance)))
    return int(flaky * 100 < WANTED * chosen.trials or any(found.startswith("proven") for found in said))


if __name__ == "__main__":
    sys.exit(main())
