"""Node's runners, and what starts them: package managers, their scripts and workspaces."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from learnd.lab.programs import INSTALLS, ORDER, REWRITES, WATCHES, class_by_name
from learnd.lab.runners.kinds import MAX_DEPTH, Judged, Known, Scope, Unfit, with_flags

_MEMBERS_MAX = 300


_NODE_TESTS = re.compile(r"""\b(?:require\(|import\(|from|import)\s*["'](node:test|tape|tap|uvu|zora|qunit)["']""")
"""How a script says that it is a file of tests, which `node FILE` runs."""


def cross_env(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and "=" in rest[0]:
        rest.pop(0)
    return scope.behind(rest)


def npx(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-p", "--package", "-w", "--workspace") and rest:
            rest.pop(0)
        if flag in ("-c", "--call"):
            return Unfit("it runs a piece of shell")
    if rest and "@" in rest[0][1:]:  # `npx jest@29`: the same program, another version
        rest[0] = rest[0][0] + rest[0][1:].split("@", 1)[0]
    return scope.behind(rest)


def package_manager(arguments: Sequence[str], scope: Scope) -> Judged:
    """npm, pnpm, yarn: which script of package.json is meant, and what stands behind it."""
    rest = list(arguments)
    own = rest[: rest.index("--")] if "--" in rest else rest
    for flag in ("-w", "--workspace"):  # npm takes it behind the script's name too
        if flag in own[1:-1]:
            at = own.index(flag)
            rest = [*rest[at : at + 2], *rest[:at], *rest[at + 2 :]]
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-C", "--prefix", "--dir", "--cwd") and rest:
            scope = scope.at(rest.pop(0))
        elif flag in ("-w", "--workspace", "--filter", "-F") and rest:
            scope = _member(rest.pop(0), scope)
    if not rest:
        return Unfit("it installs packages and verifies nothing", silent=True)
    verb = rest.pop(0)
    if verb in ("exec", "x"):
        return npx(rest, scope)
    if verb in ("dlx", "create"):
        return Unfit("it needs the network", needs="network")
    if verb in ("run", "run-script", "rum", "urn"):
        rest = [word for word in rest if word in ("--",) or not word.startswith("-")] if rest[:1] != ["--"] else rest
        if not rest:
            return Unfit("it names no script")
        verb = rest[0]
        rest = rest[1:]
    verb = {"t": "test", "tst": "test"}.get(verb, verb)
    if any(word in REWRITES or word in WATCHES for word in arguments):
        return Unfit("it waits for edits or rewrites what it compares with")
    return _script(verb, scope)


def _member(named: str, scope: Scope) -> Scope:
    """Where a workspace's member of this name or folder has its package.json; unread where none or several fit."""
    folder = posixpath.normpath(posixpath.join(scope.cwd, named))
    if scope.read is not None and f"{folder}/package.json" in scope.files:
        return replace(scope, cwd=folder)
    members = [path for path in scope.files if path.endswith("/package.json") and "node_modules/" not in path]
    fit = [path for path in members[:_MEMBERS_MAX] if scope.read is not None and _called(scope.read(path), named)]
    return replace(scope, cwd=posixpath.dirname(fit[0])) if len(fit) == 1 else replace(scope, read=None)


def _called(package: bytes | None, name: str) -> bool:
    try:
        document = json.loads(package or b"{}")
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("name") == name


def _script(name: str, scope: Scope) -> Judged:
    if name in INSTALLS:
        return Unfit(f"`{name}` manages packages and verifies nothing", silent=True)
    by_name = class_by_name(name)
    if scope.read is None and (name in scope.programs):
        return npx([name], scope)
    if scope.read is None or scope.lines is None or scope.depth >= MAX_DEPTH:
        return Known(by_name, "npm") if by_name else Unfit(f"what the script `{name[:60]}` runs is not known")
    text = _script_text(name, scope)
    if isinstance(text, Unfit):
        return npx([name], scope) if name in scope.programs else text
    behind = scope.lines(text, scope.deeper())
    verifying = [judged for judged in behind if isinstance(judged, Known)]
    if not verifying:
        if behind and all(isinstance(judged, Unfit) and judged.silent for judged in behind):
            return Unfit(f"the script `{name}` is `{text[:60]}`, which verifies nothing", silent=True)
        needs = next((judged for judged in behind if isinstance(judged, Unfit) and judged.needs), None)
        if needs is not None:
            return needs
        return Known(by_name, "npm") if by_name else Unfit(f"what the script `{name[:60]}` runs is not known")
    best = min(verifying, key=lambda judged: ORDER.index(judged.cls))
    return Known(best.cls, _reporter(best, behind, text))


def _reporter(best: Known, behind: list[Judged], text: str) -> str:
    """The runner that reports through the script: words appended to a script reach its last command only."""
    if best.runner == "node_test":
        return "npm" if "--test-reporter" in text else "node_test"
    if best.runner not in ("jest", "vitest", "mocha"):
        return best.runner
    passes_none_on = re.search(r"--json|--outputFile|--reporter|[|><]|\b(npm|pnpm|yarn)\b", text)
    return best.runner if behind[-1] is best and not passes_none_on else "npm"


def _script_text(name: str, scope: Scope) -> str | Unfit:
    package = scope.file("package.json")
    if package is None:
        return Unfit("there is no package.json where it runs")
    try:
        scripts = json.loads(package).get("scripts", {})
        text = scripts.get(name)
    except (ValueError, AttributeError, RecursionError):
        return Unfit("package.json cannot be read")
    if not isinstance(text, str) or not text.strip():
        return Unfit(f"package.json has no script `{name[:60]}`")
    return text


def node(arguments: Sequence[str], scope: Scope) -> Judged:
    if "--watch" in arguments:
        return Unfit(WATCHES["--watch"])
    if "--test" in arguments:
        return Known("test", "node_test")
    script = next((word for word in arguments if not word.startswith("-")), "")
    tool = re.search(r"(?:^|/)node_modules/(?:\.bin/)?(jest|vitest|mocha|eslint|typescript)\b", script)
    if tool:
        after = list(arguments)[list(arguments).index(script) + 1 :]
        return scope.behind([{"typescript": "tsc"}.get(tool.group(1), tool.group(1)), *after])
    loaded = _NODE_TESTS.search(scope.file(script) or "") if script else None
    if loaded:  # the others print what they found, and anything can print: their exit code counts
        return Known("test", "node_test" if loaded.group(1) == "node:test" else "node")
    return Unfit("it runs a script, which is not a known runner")


def tsc(arguments: Sequence[str], _: Scope) -> Judged:
    return with_flags(Known("lint" if "--noEmit" in arguments else "build", "tsc"), arguments)
