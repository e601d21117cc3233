"""Do patterns reach agents, and what do agents say of them?"""

from __future__ import annotations

from dataclasses import dataclass

from learnd.views.measures.window import Measures


@dataclass(frozen=True, slots=True)
class Use:
    """`served`: how often patterns were given to agents, by when that was recorded; `patterns`: how many of them.

    Reports are agents' own words, by outcome: `helped`, `did_not_help`, `wrong`.
    """

    served: int
    patterns: int
    helped: int
    did_not_help: int
    wrong: int


def use(asked: Measures) -> Use:
    served = [float(str(times)) for _, _, times in asked.summed("served", "label, about, sum(amount)")]
    said = asked.by_label("reported")
    return Use(
        served=round(sum(served)),
        patterns=len(served),
        helped=said.get("helped", 0),
        did_not_help=said.get("did_not_help", 0),
        wrong=said.get("wrong", 0),
    )
