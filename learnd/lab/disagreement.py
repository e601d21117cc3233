"""Why equal replays disagree: the order of the tests, the hash seed, or something that nobody varied. Pure.

The first replays vary both at once, for they only look for disagreement. Once there is one, the replays that follow
vary one at a time (`crossed`), between the first replay and the first that differed from it: what then keeps to the
order whatever the hash seed is, follows the order, and the other way round. What does neither is chance, or time.

Nothing is said on less than two replays of each of two orders (or hash seeds) that came out differently, each under
different values of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from events.values import Follows
from learnd.lab.verdict import Judgement, Replayed, normal

Result = Callable[[Replayed], Hashable]
"""What a replay came to; None where it says nothing."""


@dataclass(frozen=True)
class Seeds:
    """What one replay is run under. `order` is None for the runner's own order."""

    hash: int
    order: int | None = None


def follows(side: Sequence[Replayed], result: Result) -> Follows | None:
    """What the disagreement of a side's replays keeps to; None where that is not known, or there is none."""
    told = [(_seeds(replay), found) for replay in side if (found := result(replay)) is not None]
    by_order = _keeps_to([(seeds.order, seeds.hash, found) for seeds, found in told])
    by_hash = _keeps_to([(seeds.hash, seeds.order, found) for seeds, found in told])
    if by_order == by_hash:
        return None
    return "order" if by_order else "hash_seed"


def explained(judgement: Judgement, base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> Judgement:
    """A `flaky` judgement with what the disagreement follows: order dependence is a cause of its own."""
    side = {"snapshot_disagrees": snapshot, "base_disagrees": base}.get(judgement.cause or "")
    followed = follows(side, outcome) if side is not None else None
    if followed == "order":
        return replace(judgement, cause="order_dependence", detail=f"{judgement.detail}; it follows the tests' order")
    if followed == "hash_seed":
        return replace(judgement, detail=f"{judgement.detail}; it follows the hash seed")
    return judgement


def outcome(replay: Replayed) -> Hashable:
    """A whole replay's result: whether it is green, and which tests failed."""
    return replay.outcome.ok, normal(replay.failed)


def of_test(test: str) -> Result:
    """The result of one test, by its normal id."""

    def result(replay: Replayed) -> Hashable:
        if test in normal(replay.retried):
            return "both"
        if test in normal(replay.failed):
            return "failed"
        return "passed" if test in normal(replay.passed) else None

    return result


def crossed(base: Sequence[Replayed], snapshot: Sequence[Replayed], first: int) -> Seeds | None:
    """Seeds of the next replay once a side disagrees: one thing varied at a time. None where nothing is to be varied.

    `first` is the number of replays that are made in any case.
    """
    for side in (snapshot, base):
        other = next((at for at, replay in enumerate(side) if outcome(replay) != outcome(side[0])), None)
        if other is not None:
            one, two = _seeds(side[0]), _seeds(side[other])
            cells = dict.fromkeys((Seeds(two.hash, one.order), Seeds(one.hash, two.order), one, two))
            return list(cells)[(len(snapshot) - max(first, other + 1)) % len(cells)]
    return None


def _seeds(replay: Replayed) -> Seeds:
    return Seeds(replay.outcome.hash_seed, replay.outcome.order_seed)


def _keeps_to(told: Sequence[tuple[Hashable, Hashable, Hashable]]) -> bool:
    """Whether results are equal for equal first values, whatever the second are, and differ between first values."""
    results: dict[Hashable, set[Hashable]] = defaultdict(set)
    under: dict[Hashable, set[Hashable]] = defaultdict(set)
    for value, other, result in told:
        results[value].add(result)
        under[value].add(other)
    if any(len(found) > 1 for found in results.values()):
        return False
    tried = [found for value, found in results.items() if len(under[value]) > 1]
    return any(found != tried[0] for found in tried)
