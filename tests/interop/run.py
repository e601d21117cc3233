"""The real producer, a real package, a real daemon: from `exec` to a proven pattern in `active/`.

The repository is made of two releases of a small library: the older is committed, the newer laid over the work tree,
installed editable in a `.venv` that git ignores. The producer runs the newer release's tests in it, as a person would
have it do, while `learnd daemon` watches. Nothing here is simulated, and nothing waits without a bound.

Run by `make interop`, with learnd's own interpreter. Exit code 0 when everything held.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
from unidiff import PatchSet

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PRODUCER = CHECKOUT / ".interop/node_modules/@kbediako/codex-orchestrator"
LEARND = Path(sys.executable).with_name("learnd")

TASK = "hyphen-in-field-names"
TEST = ("-m", "pytest", "-q", "tests/test_parse.py")
PROMPT = """\
# Template field names may hold a hyphen

`parse.parse("{user-id}", ...)` finds no field: names may hold letters, digits and underscores only.

## Acceptance criteria

- A field name may hold a hyphen, in `parse` and in `search`.
- Names that differ only in `-`, `_` and `.` do not collide.
"""

READY_S = 60.0
RUN_S = 180.0
LEARN_S = 300.0
STOP_S = 120.0

ENDS = {
    "JobLearned", "JobSkipped", "RunEnded", "SnapshotFailed", "SnapshotStalled", "ManualScenarioRequired",
    "ValidationFailed", "BudgetExhausted", "CrystalizationFailed", "FaultRaised",
}  # fmt: skip
"""After one of these nothing moves any more without a person (or a mended machine)."""

OURS = (".runs/", ".agent/patterns/", "docs/patterns/", "out/", "learning-snapshots/")
"""Where learnd and the producer may write in the user's repository."""

CACHES = {".pytest_cache", "__pycache__"}
"""What the run's own command leaves behind."""


class Broken(Exception):
    """Something did not hold; the message says what was expected and what was found."""


class Report:
    """What held so far, printed as it holds."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def step(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", flush=True)

    def holds(self, what: str, true: bool, found: object = "") -> None:
        """Print that `what` holds, or raise Broken with what was found instead."""
        if not true:
            raise Broken(f"{what}: found {found}")
        print(f"           ok  {what}", flush=True)


# --- the repository ---------------------------------------------------------------------------------


def make_repository(work: Path, report: Report) -> Path:
    """The older release, committed, with a task file in it; its environment beside it, ignored by git."""
    repo = work / "parse"
    report.step("fetching two releases of parse, by their hashes")
    unpack(fetch("older", work), repo)
    (repo / ".gitignore").write_text(".venv/\n*.egg-info/\n__pycache__/\n.pytest_cache/\n")
    (repo / "tasks").mkdir()
    (repo / f"tasks/{TASK}.md").write_text(PROMPT)
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "parse 1.20.1")
    report.step("making its environment: .venv, build backend, pytest, the package itself as editable")
    call([sys.executable, "-m", "venv", str(repo / ".venv")])
    pip(repo / ".venv/bin/python", "install", "--require-hashes", "-r", str(HERE / "tools.lock"))
    pip(repo / ".venv/bin/python", "install", "--no-deps", "--no-build-isolation", "-e", str(repo))
    return repo


def fetch(which: str, work: Path) -> Path:
    """The source distribution that `<which>.lock` names."""
    folder = work / which
    folder.mkdir()
    lock = str(HERE / f"{which}.lock")
    pip(Path(sys.executable), "download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:",
        "--require-hashes", "-r", lock, "-d", str(folder))  # fmt: skip
    return next(folder.glob("*.tar.gz"))


def unpack(archive: Path, into: Path) -> None:
    """Lay the release's files over `into`, without what only a source distribution has."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        for extra in ("PKG-INFO", "setup.cfg", "parse.egg-info"):
            path = root / extra
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.copytree(root, into, dirs_exist_ok=True, copy_function=shutil.copy)


# --- processes --------------------------------------------------------------------------------------


def clean_environment(**more: str) -> dict[str, str]:
    """The machine's environment without settings and keys that are not this test's."""
    foreign = ("LEARND_", "LEARNING_", "OPENAI_", "CODEX_", "MCP_", "GIT_", "VIRTUAL_ENV", "XDG_", "STATE_DIRECTORY")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | more


def call(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, limit: float = 600
) -> str:
    """What a command wrote to stdout. Raises Broken when it fails or takes longer than `limit` seconds."""
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=env or clean_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Broken(f"{' '.join(argv)}: not done after {limit:.0f} s") from error
    if done.returncode != 0:
        raise Broken(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def pip(python: Path, verb: str, *arguments: str) -> None:
    call([str(python), "-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments])


def git(repo: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{part}": "interop@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    # Without optional locks, or looking at the index would write it.
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
    return call(["git", "-C", str(repo), *arguments], env=clean_environment(**who, **alone))


class Learnd:
    """learnd's command line and daemon, with a state directory and a home of their own."""

    def __init__(self, work: Path) -> None:
        self.state = work / "state"
        self.output = work / "daemon.log"
        self.env = clean_environment(HOME=str(work / "home"), LEARND_STATE_DIR=str(self.state))

    def __call__(self, *arguments: str) -> str:
        return call([str(LEARND), *arguments], env=self.env)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    @contextlib.contextmanager
    def daemon(self, work: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon that has said READY=1 the way systemd hears it. It is stopped at the end, whatever happens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears, self.output.open("wb") as output:
            ears.bind(str(work / "notify"))
            ready = threading.Event()
            threading.Thread(target=_hear, args=(ears, ready), daemon=True).start()
            process = subprocess.Popen(
                [str(LEARND), "daemon"], env={**self.env, "NOTIFY_SOCKET": str(work / "notify")},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                if not ready.wait(READY_S):
                    raise Broken(f"the daemon was not ready after {READY_S:.0f} s\n{self.said()}")
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def said(self) -> str:
        return self.output.read_text(errors="replace")[-6000:]


def _hear(ears: socket.socket, ready: threading.Event) -> None:
    """Read all that a daemon tells systemd, for as long as it does: nobody may keep it waiting."""
    with contextlib.suppress(OSError):
        while True:
            if b"READY=1" in ears.recv(4096):
                ready.set()


class Tail:
    """`learnd tail -f --json`: every event as it is recorded."""

    def __init__(self, learnd: Learnd) -> None:
        self._process = subprocess.Popen(
            [str(LEARND), "tail", "-f", "--json"], env=learnd.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, types: set[str], seconds: float, daemon: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
        """Events up to and with the first of these types. Raises Broken after `seconds`, or without a daemon."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=1.0)
            except queue.Empty:
                if daemon.poll() is not None:
                    raise Broken(f"the daemon ended with exit code {daemon.returncode}") from None
                if time.monotonic() > deadline:
                    raise Broken(f"none of {', '.join(sorted(types))} after {seconds:.0f} s") from None
                continue
            if line is None:
                raise Broken("learnd tail ended by itself")
            event: dict[str, Any] = json.loads(line)
            yield event
            if event["type"] in types:
                return

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_S)


# --- what must hold ---------------------------------------------------------------------------------


def git_folder(repo: Path) -> dict[str, str]:
    """Digest of every file in .git: refs, HEAD, index, stash, configuration, hooks and objects alike."""
    files = (path for path in sorted((repo / ".git").rglob("*")) if path.is_file())
    return {str(path.relative_to(repo)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def work_tree(repo: Path) -> dict[str, str]:
    """Digest of every file outside .git, .venv and the caches of the run's own command."""
    found = {}
    for path in sorted(repo.rglob("*")):
        relative = path.relative_to(repo)
        if relative.parts[0] in (".git", ".venv") or CACHES & set(relative.parts):
            continue
        if path.is_file() and not path.is_symlink():
            found[str(relative)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def run_producer(repo: Path, report: Report) -> Path:
    """Have the producer execute the newer release's tests. Returns its manifest."""
    package = json.loads((PRODUCER / "package.json").read_text())
    entry = PRODUCER / package["bin"]["codex-orchestrator"]
    report.step(f"the producer, {package['name']} {package['version']}: exec -- .venv/bin/python {' '.join(TEST)}")
    call(
        ["node", str(entry), "exec", "--", ".venv/bin/python", *TEST],
        cwd=repo, env=clean_environment(MCP_RUNNER_TASK_ID=TASK), limit=RUN_S,
    )  # fmt: skip
    (manifest,) = (repo / ".runs" / TASK / "cli").glob("*/manifest.json")
    return manifest


def check_job(job: Mapping[str, Any], shown: Mapping[str, Any], report: Report) -> None:
    expected = {"status": "learned", "evidence": "proven", "isolation": "bubblewrap",
                "scenario_source": "execution_history", "task_id": TASK}  # fmt: skip
    found = {name: job[name] for name in expected}
    report.holds(
        "the job is learned, proven, in a sandbox, by the command that the run executed", found == expected, found
    )
    evidence = shown["evidence"]
    base, snapshot = evidence["base"], evidence["snapshot"]
    report.holds(
        f"the base fails in all of {len(base)} replays on assertions, the snapshot passes in all of {len(snapshot)}",
        len(base) >= 3 and len(snapshot) >= 3
        and all(not replay["ok"] and replay["cause"] == "assertion" for replay in base)
        and all(replay["ok"] for replay in snapshot),
        evidence,
    )  # fmt: skip
    failing = {test.rsplit("::", 1)[-1] for replay in base for test in replay["failing"]}
    report.holds(
        "what fails are the newer release's two new tests, and nothing else",
        failing == {"test_hyphen_inside_field_name", "test_hyphen_inside_field_name_collision_handling"},
        sorted(failing),
    )
    verdicts = {hunk["verdict"] for hunk in evidence["hunks"]}
    report.holds("some hunks are exercised and some are not", {"exercised", "unexercised"} <= verdicts, verdicts)


def check_pattern(text: str, shown: Mapping[str, Any], report: Report) -> None:
    """The text cites what was exercised, and quotes not one line that only an unexercised hunk has."""
    hunks = shown["evidence"]["hunks"]
    lines: dict[str, set[str]] = {"exercised": set(), "other": set()}
    for file in PatchSet(Path(shown["files"]["diff"]).read_text()):
        for hunk in file:
            added = {line.value.strip() for line in hunk if line.is_added and len(line.value.strip()) > 12}
            numbers = [line.target_line_no for line in hunk if line.is_added]
            exercised = any(
                known["file"] == file.path and known["verdict"] == "exercised"
                and known["lines"][0] <= min(numbers, default=0) <= known["lines"][1]
                for known in hunks
            )  # fmt: skip
            lines["exercised" if exercised else "other"] |= added
    quoted = {line.lstrip("+- ").strip() for line in text.splitlines()}
    report.holds("the pattern quotes exercised hunks", bool(lines["exercised"] & quoted), sorted(quoted))
    foreign = sorted((lines["other"] - lines["exercised"]) & quoted)
    report.holds("the pattern quotes nothing that was not exercised", not foreign, foreign)
    unclaimed = {hunk["file"] for hunk in hunks} - {h["file"] for h in hunks if h["verdict"] == "exercised"}
    named = sorted(file for file in unclaimed if file in text)
    report.holds(
        f"the pattern names no file without an exercised hunk ({', '.join(sorted(unclaimed))})", not named, named
    )


def check_manifest(manifest: Path, report: Report) -> None:
    schema = json.loads((PRODUCER / "schemas/manifest.json").read_text())
    written = json.loads(manifest.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    wrong = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(written)
             if list(error.path)[:1] == ["learning"]]  # fmt: skip
    report.holds("the manifest's learning block is as the producer's own schema has it", not wrong, wrong)
    block = written["learning"]
    found = (block["snapshot"]["status"], block["queue"]["status"], block["scenario"]["status"],
             block["validation"]["status"], block["crystalizer"]["status"])  # fmt: skip
    expected = ("captured", "queued", "synthesized", "validated", "succeeded")
    report.holds(f"it says {', '.join(expected)}", found == expected, found)


def check_repository(repo: Path, before: tuple[dict[str, str], dict[str, str]], report: Report) -> None:
    dot_git = changed(before[0], git_folder(repo))
    report.holds("not a byte of .git changed: HEAD, refs, index, stash, objects, configuration", not dot_git, dot_git)
    elsewhere = [name for name in changed(before[1], work_tree(repo)) if not name.startswith(OURS)]
    report.holds(f"files changed under {', '.join(OURS)} only", not elsewhere, elsewhere)


# --- the whole --------------------------------------------------------------------------------------


def interop(work: Path, report: Report) -> None:
    """Everything, in order. Raises Broken at the first thing that does not hold."""
    repo = make_repository(work, report)
    learnd = Learnd(work)
    learnd("init", str(repo), "--yes")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Lay out for learnd")
    report.step("learnd daemon, as systemd would start it")
    with learnd.daemon(work) as daemon:
        tail = Tail(learnd)
        try:
            unpack(fetch("newer", work), repo)
            before = (git_folder(repo), work_tree(repo))
            manifest = run_producer(repo, report)
            last = follow(tail, daemon, report)
            report.holds("the job came to JobLearned", last["type"] == "JobLearned", last)
            judge(learnd, repo, manifest, before, report)
        finally:
            tail.close()
        report.step("stopping the daemon")
        daemon.send_signal(signal.SIGTERM)
        report.holds("it drains and exits with 0", daemon.wait(STOP_S) == 0, daemon.returncode)
    learnd("verify")
    report.holds("the log's chain holds", True)


def follow(tail: Tail, daemon: subprocess.Popen[bytes], report: Report) -> dict[str, Any]:
    """Print events as they come, to the one that ends the job's way."""
    for event in tail.until(ENDS, LEARN_S, daemon):
        report.step(f"  {event['position']:>3}  {event['type']}")
    return event


def judge(
    learnd: Learnd, repo: Path, manifest: Path, before: tuple[dict[str, str], dict[str, str]], report: Report
) -> None:
    report.step("what came of it")
    jobs = learnd.json("jobs")
    report.holds("one job was opened for one run", len(jobs) == 1, jobs)
    (job,) = jobs
    shown = learnd.json("show", job["id"])
    check_job(job, shown, report)
    for hunk in shown["evidence"]["hunks"]:
        print(f"               {hunk['verdict']:<12} {hunk['file']}:{hunk['lines'][0]}-{hunk['lines'][1]}")
    candidates = [path for path in (repo / ".agent/patterns/candidates").glob("*.md") if path.name != "README.md"]
    report.holds("one candidate waits for a person", len(candidates) == 1, candidates)
    check_pattern(candidates[0].read_text(), shown, report)
    check_manifest(manifest, report)
    check_repository(repo, before, report)
    report.step("a person promotes it, through the daemon's socket")
    learnd("promote", job["pattern"], "--reason", "the newer release's own tests prove it")
    active = [path.name for path in (repo / ".agent/patterns/active").glob("*.md") if path.name != "README.md"]
    report.holds("its file stands in active/", active == [candidates[0].name], active)
    check_repository(repo, before, report)


def main() -> int:
    if not PRODUCER.is_dir():
        print(f"the producer is not at {PRODUCER}. Next: make producer", file=sys.stderr)
        return 2
    report = Report()
    work = Path(tempfile.mkdtemp(prefix="learnd-interop-")).resolve()
    try:
        interop(work, report)
    except Broken as error:
        output = work / "daemon.log"
        said = output.read_text(errors="replace")[-6000:] if output.exists() else "nothing"
        print(f"\nFAILED: {error}\n\nThe daemon said:\n{said}\n\nEverything is kept in {work}", file=sys.stderr)
        return 1
    shutil.rmtree(work)
    report.step("everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
