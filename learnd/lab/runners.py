"""Which programs verify something: from the words of one command to its class and runner, or why it verifies nothing.

Closed world: a program that is not named here is not run. Flags that would make a runner verify nothing (list tests,
rewrite snapshots, wait for edits) turn the command down, so that a recorded success of it is never taken for proof.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from events.values import CommandClass
from learnd.lab.programs import (
    FORMATS,
    INSTALLERS,
    INSTALLS,
    LINT_FLAGS,
    LISTS,
    LOOKS,
    NOTHING,
    ORDER,
    OUTSIDE,
    REWRITES,
    RUN_FLAGS,
    SERVICES,
    SHELLS,
    UNFIT_FLAGS,
    WATCHES,
    class_by_name,
    names,
)

ReadFile = Callable[[str], bytes | None]
"""The bytes of a file of the tree, by its path relative to the root; None where there is none."""


@dataclass(frozen=True)
class Known:
    """A command that verifies something. `runner` is who reports, behind all wrappers."""

    cls: CommandClass
    runner: str


@dataclass(frozen=True)
class Unfit:
    """Why a command is not replayed. `needs` names a service when that is the reason; `silent`: it verifies nothing."""

    why: str
    needs: str | None = None
    silent: bool = False


Judged = Known | Unfit


@dataclass(frozen=True)
class Scope:
    """What may be looked at while judging: the tree's files (by `read`), and the folder the command runs in."""

    cwd: str = "."
    read: ReadFile | None = None
    depth: int = 0
    lines: Callable[[str, Scope], list[Judged]] | None = None
    files: Collection[str] = ()

    def deeper(self) -> Scope:
        """One level further in: wrappers and scripts may nest, but not for ever."""
        return replace(self, depth=self.depth + 1)

    def at(self, folder: str) -> Scope:
        """The same in another folder."""
        return replace(self, cwd=posixpath.normpath(posixpath.join(self.cwd, folder)))

    def file(self, name: str) -> str | None:
        """The text of `name` in the command's folder; None where it is absent or must not be read."""
        path = posixpath.normpath(posixpath.join(self.cwd, name))
        if self.read is None or path.startswith(("/", "..")):
            return None
        data = self.read(path)
        return None if data is None else data[:1_000_000].decode("utf-8", "replace")


MAX_DEPTH = 6
_MEMBERS_MAX = 300
_SHELL_FLAG = re.compile(r"-[a-z]*c")
_PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)*)?t?")
_SECRET = re.compile(r"--?[\w-]*(token|password|passwd|secret|api[-_]?key)\b([= ]|$)", re.IGNORECASE)

_PLAIN: dict[str, Known] = {
    "pytest": Known("test", "pytest"),
    "py.test": Known("test", "pytest"),
    "jest": Known("test", "jest"),
    "mocha": Known("test", "mocha"),
    "vitest": Known("test", "vitest"),
    "ava": Known("test", "ava"),
    **{
        name: Known("lint", name)
        for name in names(
            "flake8 mypy pyright pylint pyflakes bandit basedpyright eslint stylelint standard xo "
            "golangci-lint staticcheck shellcheck lint-imports"
        )
    },
}


def judge(words: Sequence[str], scope: Scope) -> Judged:
    """What the command `words` verifies, or why it is unfit. Never raises, never runs anything."""
    words = list(words)
    if not words or not words[0]:
        return Unfit("there is no command")
    if scope.depth > MAX_DEPTH:
        return Unfit("wrappers are nested too deep")
    if any(_SECRET.match(word) for word in words[1:]):
        return Unfit("it carries a secret as an argument")
    name = posixpath.basename(words[0])
    arguments = words[1:]
    if verb := _VERBS.get(name):
        return verb(arguments, scope)
    if _PYTHON.fullmatch(name):
        return _python(arguments, scope)
    if known := _PLAIN.get(name):
        return _with_flags(known, arguments)
    return _unknown(name)


def _unknown(name: str) -> Unfit:
    if name in SERVICES:
        return Unfit(f"it needs a service (`{name}`), and a replay has none", needs=name)
    if name in OUTSIDE:
        return Unfit(f"`{name}` acts outside of the tree and verifies nothing here", silent=True)
    if name in INSTALLERS:
        return Unfit(f"`{name}` installs and verifies nothing", silent=True)
    if name in NOTHING:
        return Unfit(f"`{name}` verifies nothing", silent=True)
    if name in SHELLS or name.endswith((".sh", ".bash")):
        return Unfit("it runs a script, whose commands are not known")
    if name == "sudo":
        return Unfit("it asks for root")
    return Unfit(f"`{name[:60]}` is not a known runner")


def _with_flags(known: Known, arguments: Sequence[str]) -> Judged:
    """`known`, unless a flag before `--` makes it verify nothing."""
    unfit = UNFIT_FLAGS.get(known.runner, LINT_FLAGS if known.cls == "lint" else LOOKS)
    for argument in arguments:
        if argument == "--":
            break
        if why := unfit.get(argument.split("=", 1)[0]):
            return Unfit(f"`{known.runner} {argument[:40]}`: {why}")
    if known.runner == "vitest" and arguments[:1] and arguments[0] in ("watch", "dev", "bench", "list", "init"):
        return Unfit(f"`vitest {arguments[0]}` is no test run")
    return known


def _python(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        flag = rest.pop(0)
        if flag in ("-W", "-X") and rest:
            rest.pop(0)
        elif re.fullmatch(r"-[A-Za-z]*m", flag):
            rest.insert(0, "-m")
        elif flag in ("-V", "--version", "-h", "--help") or re.fullmatch(r"-[A-Za-z]*[ci]", flag):
            return Unfit("it runs a piece of code or tells about itself: no known runner")
    if not rest or rest[0] in ("-c", "-"):
        return Unfit("it runs a piece of code: no known runner")
    if rest[0] == "-m":
        return _python_module(rest[1], rest[2:], scope) if len(rest) > 1 else Unfit("`-m` without a module")
    return _python_script(rest[0], rest[1:], scope)


def _python_module(module: str, arguments: Sequence[str], scope: Scope) -> Judged:
    if module == "unittest":
        return _with_flags(Known("test", "unittest"), arguments)
    if module == "doctest":
        return Known("test", "doctest")
    if module in ("build", "compileall", "py_compile"):
        return Known("build", module)
    if module in ("pip", "venv", "http.server", "ensurepip"):
        return Unfit(f"`python -m {module}` verifies nothing", silent=True)
    return judge([{"pre_commit": "pre-commit"}.get(module, module), *arguments], scope.deeper())


def _python_script(script: str, arguments: Sequence[str], scope: Scope) -> Judged:
    name = posixpath.basename(script)
    if name == "manage.py":
        return Known("test", "django") if arguments[:1] == ["test"] else Unfit("only `manage.py test` verifies")
    if name == "setup.py":
        return Known("build", "setup.py") if arguments[:1] == ["build"] else Unfit("only `setup.py build` verifies")
    text = scope.file(script) or ""
    if re.fullmatch(r"test_.*\.py|.*_test\.py|tests?\.py", name) and "unittest.main(" in text:
        return Known("test", "unittest")
    return Unfit("it runs a script, which is not a known runner")


def _behind(*verbs: str, flags_with_value: frozenset[str] = frozenset()) -> Callable[[Sequence[str], Scope], Judged]:
    """A wrapper such as `uv run CMD`: judged by the command behind it."""

    def inner(arguments: Sequence[str], scope: Scope) -> Judged:
        rest = list(arguments)
        if verbs:
            while rest and rest[0].startswith("-"):
                rest.pop(0)
            if not rest or rest[0] not in verbs:
                return Unfit("it installs or manages packages and verifies nothing", silent=True)
            rest.pop(0)
        while rest and rest[0].startswith("-"):
            flag = rest.pop(0)
            if flag == "--":
                break
            if flag in ("-m", "--module") and verbs:
                return judge(["python", "-m", *rest], scope.deeper())
            if flag in flags_with_value and rest:
                rest.pop(0)
        return judge(rest, scope.deeper())

    return inner


def _hatch(arguments: Sequence[str], scope: Scope) -> Judged:
    """`hatch test` is pytest; `hatch run [env:]NAME` may be a script of pyproject.toml, known by its name alone."""
    if arguments[:1] == ["test"]:
        return _with_flags(Known("test", "pytest"), arguments[1:])
    if list(arguments[:1]) == ["fmt"]:
        return Known("lint", "hatch") if "--check" in arguments else Unfit(FORMATS)
    judged = _behind("run", flags_with_value=frozenset(("-e", "--env")))(arguments, scope)
    names = [word for word in arguments if not word.startswith("-")]
    if isinstance(judged, Known) or names[:1] != ["run"] or len(names) < 2:
        return judged
    script = names[1].rsplit(":", 1)[-1]
    if len(names) > 2 and isinstance(behind := judge([script, *names[2:]], scope.deeper()), Known):
        return behind
    by_name = class_by_name(script)
    return Known(by_name, "hatch") if by_name else judged


def _sessions(runner: str, *flags: str) -> Callable[[Sequence[str], Scope], Judged]:
    """tox and nox: a test run, unless every environment named is for building or linting."""

    def inner(arguments: Sequence[str], _: Scope) -> Judged:
        names: list[str] = []
        for at, word in enumerate(arguments):
            if word in flags and len(arguments) > at + 1:
                names += arguments[at + 1].split(",")
            elif word == "--":
                break
        classes = {class_by_name(name) for name in names}
        named = next(iter(classes)) if len(classes) == 1 else None
        return _with_flags(Known(named or "test", runner), arguments)

    return inner


def _cross_env(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and "=" in rest[0]:
        rest.pop(0)
    return judge(rest, scope.deeper())


def _npx(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-p", "--package", "-w", "--workspace") and rest:
            rest.pop(0)
        if flag in ("-c", "--call"):
            return Unfit("it runs a piece of shell")
    if rest and "@" in rest[0][1:]:  # `npx jest@29`: the same program, another version
        rest[0] = rest[0][0] + rest[0][1:].split("@", 1)[0]
    return judge(rest, scope.deeper())


def _package_manager(arguments: Sequence[str], scope: Scope) -> Judged:
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
        return _npx(rest, scope)
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
    if scope.read is None and (name in _PLAIN or name in _VERBS):
        return _npx([name], scope)
    if scope.read is None or scope.lines is None or scope.depth >= MAX_DEPTH:
        return Known(by_name, "npm") if by_name else Unfit(f"what the script `{name[:60]}` runs is not known")
    text = _script_text(name, scope)
    if isinstance(text, Unfit):
        return _npx([name], scope) if name in _PLAIN or name in _VERBS else text
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


_NODE_TESTS = re.compile(
    r"""\b(?:require\(|import\(|from|import)\s*["'](node:test|tape|tap|uvu|zora|qunit)["']"""
)
"""How a script says that it is a file of tests, which `node FILE` runs."""


def _node(arguments: Sequence[str], scope: Scope) -> Judged:
    if "--watch" in arguments:
        return Unfit(WATCHES["--watch"])
    if "--test" in arguments:
        return Known("test", "node_test")
    script = next((word for word in arguments if not word.startswith("-")), "")
    tool = re.search(r"(?:^|/)node_modules/(?:\.bin/)?(jest|vitest|mocha|eslint|typescript)\b", script)
    if tool:
        after = list(arguments)[list(arguments).index(script) + 1 :]
        return judge([{"typescript": "tsc"}.get(tool.group(1), tool.group(1)), *after], scope.deeper())
    loaded = _NODE_TESTS.search(scope.file(script) or "") if script else None
    if loaded:  # the others print what they found, and anything can print: their exit code counts
        return Known("test", "node_test" if loaded.group(1) == "node:test" else "node")
    return Unfit("it runs a script, which is not a known runner")


def _go(arguments: Sequence[str], _: Scope) -> Judged:
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


def _cargo(arguments: Sequence[str], _: Scope) -> Judged:
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


def _make(arguments: Sequence[str], scope: Scope) -> Judged:
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


def _just(arguments: Sequence[str], scope: Scope) -> Judged:
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


def _maven(arguments: Sequence[str], _: Scope) -> Judged:
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


def _gradle(arguments: Sequence[str], _: Scope) -> Judged:
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


def _formatter(*needed: str) -> Callable[[Sequence[str], Scope], Judged]:
    def inner(arguments: Sequence[str], _: Scope) -> Judged:
        if any(flag in arguments for flag in needed):
            return _with_flags(Known("lint", "formatter"), arguments)
        return Unfit(FORMATS)

    return inner


def _ruff(arguments: Sequence[str], _: Scope) -> Judged:
    if arguments[:1] == ["format"] and not {"--check", "--diff"} & set(arguments):
        return Unfit(FORMATS)
    return _with_flags(Known("lint", "ruff"), arguments)


def _tsc(arguments: Sequence[str], _: Scope) -> Judged:
    return _with_flags(Known("lint" if "--noEmit" in arguments else "build", "tsc"), arguments)


def _coverage(arguments: Sequence[str], scope: Scope) -> Judged:
    if arguments[:1] != ["run"]:
        return Unfit("only `coverage run` verifies", silent=True)
    rest = list(arguments[1:])
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        flag = rest.pop(0)
        if (
            flag in ("--rcfile", "--source", "--omit", "--include", "--data-file", "--context", "--concurrency")
            and rest
        ):
            rest.pop(0)
    return _python(rest, scope)


def _pre_commit(arguments: Sequence[str], _: Scope) -> Judged:
    return Known("lint", "pre-commit") if arguments[:1] == ["run"] else Unfit("only `pre-commit run` verifies")


def _shell(arguments: Sequence[str], scope: Scope) -> Judged:
    """`bash -lc LINE` inside a wrapper: as good as the line's best part."""
    for at, word in enumerate(arguments):
        if _SHELL_FLAG.fullmatch(word) and len(arguments) > at + 1 and scope.lines and scope.depth < MAX_DEPTH:
            judged = scope.lines(arguments[at + 1], scope.deeper())
            known = [one for one in judged if isinstance(one, Known)]
            if known:
                best = min(known, key=lambda one: ORDER.index(one.cls))
                return Known(best.cls, "make" if best.runner in ("go", "cargo", "jest", "vitest") else best.runner)
            return judged[0] if judged else Unfit("there is no command")
        if not word.startswith("-"):
            break
    return Unfit("it runs a script, whose commands are not known")


_VERBS: dict[str, Callable[[Sequence[str], Scope], Judged]] = {
    "uv": _behind("run", flags_with_value=RUN_FLAGS),
    "poetry": _behind("run", flags_with_value=frozenset(("-C", "--directory"))),
    "pdm": _behind("run", flags_with_value=frozenset(("-p", "--project"))),
    "hatch": _hatch,
    "tox": _sessions("tox", "-e"),
    "nox": _sessions("nox", "-s", "-e", "--session", "--sessions"),
    "cross-env": _cross_env,
    "pipenv": _behind("run"),
    "rye": _behind("run"),
    "corepack": _behind(),
    "npx": _npx,
    "npm": _package_manager,
    "pnpm": _package_manager,
    "yarn": _package_manager,
    "node": _node,
    "go": _go,
    "cargo": _cargo,
    "make": _make,
    "gmake": _make,
    "just": _just,
    "mvn": _maven,
    "mvnw": _maven,
    "mvnd": _maven,
    "gradle": _gradle,
    "gradlew": _gradle,
    "coverage": _coverage,
    "pre-commit": _pre_commit,
    "ruff": _ruff,
    "tsc": _tsc,
    "black": _formatter("--check", "--diff"),
    "isort": _formatter("--check", "--check-only", "-c", "--diff"),
    "prettier": _formatter("--check", "-c", "--list-different", "-l"),
    "bash": _shell,
    "sh": _shell,
}
