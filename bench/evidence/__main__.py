"""`python -m bench.evidence [PACKAGE…]`: every pair through learnd, one table, kept in EVIDENCE.md.

Pairs that are not proven stay in the table with their cause. A run of some pairs replaces only their rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.daemon import registered
from bench.evidence.archives import NotFetched, archive
from bench.evidence.learned import Learned, NothingCame, learn
from bench.evidence.pairs import NothingToRun, Pair, read_pairs
from bench.evidence.project import CommandFailed, begin, equip, finish
from bench.evidence.table import kept_in, page, told, told_of_none
from bench.measuring import shown, timed
from learnd.verbs import diagnostics

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "bench/EVIDENCE.md"


def main(asked: Sequence[str]) -> int:
    pairs = read_pairs()
    unknown = set(asked) - {pair.package for pair in pairs}
    if unknown:
        print(
            f"no pair {', '.join(sorted(unknown))}. Next: any of {', '.join(p.package for p in pairs)}", file=sys.stderr
        )
        return 2
    diagnostics.configure(quiet=True)
    kept = kept_in(KEPT.read_text() if KEPT.is_file() else "")
    for pair in pairs:
        if asked and pair.package not in asked:
            continue
        rows: list[str] = []
        seconds = timed(lambda: rows.append(_row(pair)))  # noqa: B023 - called at once
        kept[pair.title] = rows[0]
        print(f"{rows[0]} ({shown(seconds)} in all)", file=sys.stderr)
        KEPT.write_text(whole(pairs, kept))
    print(KEPT.read_text())
    return 0


def whole(pairs: Sequence[Pair], kept: Mapping[str, str]) -> str:
    """The page of all pairs that have a row, in their order."""
    titles = [pair.title for pair in pairs]
    return page([kept[title] for title in titles if title in kept], [title for title in titles if title not in kept])


def _row(pair: Pair) -> str:
    # Below the checkout: a temporary folder may be memory, which learnd wants for its trees.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
        try:
            return told(pair, run_pair(pair, archive(pair, pair.old), archive(pair, pair.new), Path(folder)))
        except (NotFetched, CommandFailed, NothingToRun, NothingCame) as error:
            return told_of_none(pair, error)


def run_pair(pair: Pair, older: Path, newer: Path, folder: Path) -> Learned:
    """One pair through learnd, in `folder`. Raises NotFetched, CommandFailed, NothingToRun, NothingCame."""
    repo = begin(pair, older, folder)
    equip(pair, repo)
    registered(folder / "state", repo)
    return learn(finish(pair, newer, repo), folder / "state")


if __name__ == "__main__":
    sys.exit(main([name for word in sys.argv[1:] for name in word.split(",") if name]))
