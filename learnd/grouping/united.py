"""One scenario for a group: what verifies each of its runs, all of it, each command once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from events.values import Scenario, ScenarioCommand, ScenarioSource
from learnd.ids import short
from learnd.lab.programs import ORDER
from learnd.lab.scenario import NoScenario, SynthesisRequest, synthesize

WEAKEST_LAST: tuple[ScenarioSource, ...] = ("manual", "execution_history", "prompt", "diff", "template")
CHANGED_TESTS_MAX = 200

T = TypeVar("T")


def unite(asked: Iterable[tuple[str, SynthesisRequest]]) -> Scenario:
    """The scenarios of jobs, which come with their ids, as one; its source is the weakest among theirs.

    A run that has a build or lint command only adds nothing where another has tests, for the same reason as within one
    run: only tests can fail on the base for the change's sake. Raises NoScenario when none of them has any.
    """
    found: list[tuple[str, Scenario]] = []
    without: list[tuple[str, NoScenario]] = []
    for job_id, request in asked:
        try:
            found.append((job_id, synthesize(request)))
        except NoScenario as error:
            without.append((job_id, error))
    if not found:
        last = without[-1][1]
        told = "; ".join(f"job {short(job_id)}: {error.detail}" for job_id, error in without)
        raise NoScenario(last.cause, told, last.partial)
    best = min(_class_of(scenario) for _, scenario in found)
    kept = [(job_id, scenario) for job_id, scenario in found if _class_of(scenario) == best]
    parts = [scenario for _, scenario in kept]
    notes = [
        *(f"job {short(job_id)}: {scenario.reason}" for job_id, scenario in kept),
        *(f"job {short(job_id)}: no tests, left out" for job_id, one in found if _class_of(one) != best),
        *(f"job {short(job_id)}: {error.detail}" for job_id, error in without),
    ]
    return Scenario(
        source=max((scenario.source for scenario in parts), key=WEAKEST_LAST.index),
        setup=_once(command for one in parts for command in _with_env(one, one.setup)),
        commands=_once(command for one in parts for command in _with_env(one, one.commands)),
        fixtures=_once(name for one in parts for name in one.fixtures),
        services=_once(name for one in parts for name in one.services),
        served=_once(service for one in parts for service in one.served),
        expected_signals=_once(signal for one in parts for signal in one.expected_signals),
        changed_tests=_once(path for _, one in found for path in one.changed_tests)[:CHANGED_TESTS_MAX],
        installations=_once(made for _, one in found for made in one.installations),
        reason="; ".join(notes),
    )


def _class_of(scenario: Scenario) -> int:
    """The best class of its commands, as a place in the order of classes: the lower, the better."""
    return min(ORDER.index(command.cls) for command in scenario.commands)


def _with_env(scenario: Scenario, commands: Iterable[ScenarioCommand]) -> Iterator[ScenarioCommand]:
    """Commands that need nothing of their scenario's variables any more: those of two runs may differ."""
    for command in commands:
        yield command.model_copy(update={"env": {**scenario.env, **command.env}}) if scenario.env else command


def _once(values: Iterable[T]) -> tuple[T, ...]:
    """Each value once, in order. Values that carry dictionaries have no hash."""
    kept: list[T] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return tuple(kept)
