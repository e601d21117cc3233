"""`python -m bench.candidate PACKAGE`: one real fix through learnd, and the candidate that it ends in kept in docs/.

docs/candidate.md has the text to the letter, docs/candidate.json what it was written from: the prompt, the diff, the
scenario and the evidence, so that a test can have it written and judged again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.evidence.__main__ import ROOT, run_pair
from bench.evidence.archives import archive
from bench.evidence.pairs import Pair, read_pairs
from events.catalog import ChangeValidated, PatternQuarantined, PatternStaged, ScenarioSynthesized
from events.log import EventLog
from learnd.verbs import diagnostics

PAGE: Final = ROOT / "docs/candidate.md"
SOURCE: Final = ROOT / "docs/candidate.json"


def main(asked: list[str]) -> int:
    pair = next((pair for pair in read_pairs() if [pair.package] == asked), None)
    if pair is None:
        print("name one pair of bench/evidence/pairs.toml", file=sys.stderr)
        return 2
    diagnostics.configure(quiet=True)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
        run_pair(pair, archive(pair, pair.old), archive(pair, pair.new), Path(folder))
        return _keep(pair, Path(folder) / "state/events.db")


def _keep(pair: Pair, log_file: Path) -> int:
    log = EventLog.open_readonly(log_file)
    try:
        events = [record.data for record in log.read_all()]
    finally:
        log.close()
    staged = next((event for event in events if isinstance(event, PatternStaged)), None)
    if staged is None:
        why = next((event.detail for event in events if isinstance(event, PatternQuarantined)), "no draft was made")
        print(f"{pair.title} ended in no candidate: {why}", file=sys.stderr)
        return 1
    (validated,) = (event for event in events if isinstance(event, ChangeValidated))
    scenario = next(event.scenario for event in events if isinstance(event, ScenarioSynthesized))
    taken = next(event.snapshot for event in events if event.type == "SnapshotTaken")
    queued = next(event for event in events if event.type == "JobQueued")
    source = {
        "pair": pair.title,
        "prompt": Path(queued.prompt.path).read_text() if queued.prompt and queued.prompt_source != "titles" else None,
        "diff": Path(taken.diff.path).read_bytes().decode("utf-8", "surrogateescape"),
        "scenario": scenario.model_dump(mode="json"),
        "evidence": validated.evidence.model_dump(mode="json"),
    }
    # Where the checkout lies is nobody's business, and different each time.
    SOURCE.write_text(json.dumps(source, indent=1).replace(str(log_file.parents[1]), "/repository") + "\n")
    PAGE.write_text(page(pair.title, staged.text_body))
    print(PAGE.read_text())
    return 0


def page(title: str, text: str) -> str:
    """The page: where the candidate comes from, and its file to the letter."""
    mark = "`" * 5
    return (
        f"# A candidate in full\n\nWritten by `python -m bench.candidate`: what learnd made of {title}, "
        f"both releases as they are on the index.\n\n{mark}markdown\n{text}{mark}\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
