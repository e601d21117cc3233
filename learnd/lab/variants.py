"""The snapshot under another time zone and another locale: what fails there leans on where it runs.

That diagnoses (a job whose tests fail elsewhere says so), it never vetoes: a verdict rests on the run's own
environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from events.values import Variant
from learnd.lab.replay import Laboratory
from learnd.lab.sides import Sides
from learnd.lab.verdict import Judgement

FAILING_MAX = 10
VARIANTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # The zone furthest ahead: there it is tomorrow for most of the day.
        "TZ=Pacific/Kiritimati": {"TZ": "Pacific/Kiritimati"},
        "LC_ALL=C": {"LC_ALL": "C", "LANG": "C"},
    }
)


def diagnose(
    laboratory: Laboratory, snapshot: str, sides: Sides, judgement: Judgement, progress: Callable[[str], None]
) -> tuple[Variant, ...]:
    """One replay of the snapshot in each variant, where that is cheap and the verdict rests on tests at all.

    Raises ReplayCancelled.
    """
    if judgement.verdict not in ("proven", "flaky"):
        return ()
    longest = max(replay.outcome.seconds for replay in sides.snapshot)
    if len(VARIANTS) * longest > laboratory.lab.cheap_seconds:
        return ()
    return tuple(_varied(laboratory, snapshot, name, env, progress) for name, env in VARIANTS.items())


def _varied(
    laboratory: Laboratory, snapshot: str, name: str, env: Mapping[str, str], progress: Callable[[str], None]
) -> Variant:
    progress(f"replaying the snapshot with {name}")
    scenario = laboratory.scenario.model_copy(update={"env": {**laboratory.scenario.env, **env}})
    outcome = replace(laboratory, scenario=scenario).replay(snapshot, 0, f"snapshot, {name}").outcome
    return Variant(name=name, ok=outcome.ok, failing=outcome.failing[:FAILING_MAX])
