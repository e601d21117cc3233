"""Tools that build and test in one: go, cargo, make, just, Maven, Gradle. What their targets verify, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from events.values import CommandClass
from learnd.lab.programs import FORMATS, LISTS, ORDER, UNFIT_FLAGS, class_by_name
from learnd.lab.runners.kinds import Judged, Known, Scope, Unfit


def go(arguments: Sequence[str], _: Scope) -> Judged:
    verb = arguments[0] if arguments else ""
    if verb == "test":
        if any(word.lstrip("-").split("=", 1)[0] in ("list", "help") for word in arguments[1:]):
            return Unfit(LISTS["-list"])
        return Known("build", "go") if "-c" in arguments else Known("test", "go")
    if verb in ("build", "install"):
        return Known("build", "go")
    if verb == "vet":
        return Known("lint", "go")
    return Unfit(f"`go {verb[:20]}` verifies nothing", silent=True)


def cargo(arguments: Sequence[str], _: Scope) -> Judged:
    rest = [word for word in arguments if not word.startswith("+")]
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("--config", "--color", "-Z", "-C", "--manifest-path") and rest:
            rest.pop(0)
    verb = rest[0] if rest else ""
    if verb in ("test", "t"):
        if "--list" in rest or "--help" in rest:
            return Unfit(LISTS["--list"])
        return Known("build", "cargo") if "--no-run" in rest else Known("test", "cargo")
    if verb == "nextest":
        return Known("test", "nextest") if rest[1:2] in (["run"], ["r"]) else Unfit("only `cargo nextest run` verifies")
    if verb in ("build", "b", "check", "c", "doc"):
        return Known("build", "cargo")
    if verb == "clippy":
        return Unfit(FORMATS) if "--fix" in rest else Known("lint", "cargo")
    if verb == "fmt":
        return Known("lint", "cargo") if "--check" in rest else Unfit(FORMATS)
    return Unfit(f"`cargo {verb[:20]}` verifies nothing", silent=True)


def make(arguments: Sequence[str], scope: Scope) -> Judged:
    targets: list[str] = []
    makefiles = ["Makefile", "makefile", "GNUmakefile"]
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in UNFIT_FLAGS["make"]:
            return Unfit(f"`make {word}`: it runs nothing")
        if word in ("-C", "--directory") and rest:
            scope = scope.at(rest.pop(0))
        elif word in ("-f", "--file") and rest:
            makefiles = [rest.pop(0)]
        elif word in ("-j", "-l", "-o", "-W") and rest and rest[0].isdigit():
            rest.pop(0)
        elif not word.startswith("-") and "=" not in word:
            targets.append(word)
    text = "".join(filter(None, (scope.file(name) for name in makefiles)))
    if scope.read is not None and not text:
        return Unfit("there is no Makefile where it runs")
    classes = [_target(target, text) for target in targets] or ["build"]
    unknown = [target for target, cls in zip(targets, classes, strict=False) if cls is None]
    if unknown:
        return Unfit(f"what the target `{unknown[0][:60]}` verifies is not known")
    best = min((cls for cls in classes if cls), key=ORDER.index)
    return Known(best, "make")


def just(arguments: Sequence[str], scope: Scope) -> Judged:
    if any(word in ("-l", "--list", "--summary", "-n", "--dry-run", "--show", "--evaluate") for word in arguments):
        return Unfit("it lists recipes and runs none")
    text = "".join(filter(None, (scope.file(name) for name in ("justfile", "Justfile", ".justfile"))))
    if scope.read is not None and not text:
        return Unfit("there is no justfile where it runs")
    recipe = next((word for word in arguments if not word.startswith("-") and "=" not in word), "")
    if not recipe:
        return Unfit("it names no recipe")
    cls = _target(recipe, re.sub(r"(?m)^@", "", text))
    return Known(cls, "just") if cls else Unfit(f"what the recipe `{recipe[:60]}` verifies is not known")


def maven(arguments: Sequence[str], _: Scope) -> Judged:
    """The last phase named counts: each runs those before it."""
    skips = [word for word in arguments if re.match(r"-D(skipTests|maven\.test\.skip)(=true)?$", word)]
    phases = [word for word in arguments if not word.startswith("-")]
    if any(phase in ("deploy", "release:perform", "release:prepare") for phase in phases):
        return Unfit("`mvn deploy` acts outside of the tree and verifies nothing here", silent=True)
    if {"test", "verify", "integration-test", "package", "install", "surefire:test"} & set(phases):
        return Known("build", "maven") if skips else Known("test", "maven")
    if {"compile", "test-compile", "process-classes"} & set(phases):
        return Known("build", "maven")
    if any(re.match(r"(checkstyle|spotbugs|pmd):check$|spotless:check$", phase) for phase in phases):
        return Known("lint", "maven")
    return Unfit(f"`mvn {' '.join(phases)[:40]}` verifies nothing", silent=True)


def gradle(arguments: Sequence[str], _: Scope) -> Judged:
    rest = list(arguments)
    tasks: list[str] = []
    left_out: set[str] = set()
    while rest:
        word = rest.pop(0)
        if word in ("-m", "--dry-run", "-t", "--continuous"):
            return Unfit(f"`gradle {word}`: it runs nothing, or never ends")
        if word in ("-x", "--exclude-task") and rest:
            left_out.add(rest.pop(0).rsplit(":", 1)[-1])
        elif word in ("--tests", "-p", "--project-dir", "-b", "-c", "-I") and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            tasks.append(word.rsplit(":", 1)[-1])
    if any(task in ("publish", "uploadArchives", "bootRun", "run") for task in tasks):
        return Unfit(f"`gradle {tasks[0][:40]}` verifies nothing here", silent=True)
    tests = [task for task in tasks if re.fullmatch(r"\w*[tT]est|check|build", task) and task not in left_out]
    if tests and not (tests == ["build"] and {"test", "check"} & left_out):
        return Known("test", "gradle")
    if any(re.fullmatch(r"assemble|classes|compile\w*|build|jar|testClasses", task) for task in tasks):
        return Known("build", "gradle")
    if any(re.match(r"(checkstyle|spotbugs|pmd|spotless|ktlint|detekt|lint)\w*$", task) for task in tasks):
        return Known("lint", "gradle")
    return Unfit(f"what the task `{' '.join(tasks)[:60]}` verifies is not known")


def _target(target: str, text: str) -> CommandClass | None:
    if (
        text
        and "include" not in text
        and not re.search(rf"(?m)^([^\s#=][^:=\n]*\s)?{re.escape(target)}(\s[^:=\n]*)?:", text)
    ):
        return None
    return "test" if target == "check" else class_by_name(target)
