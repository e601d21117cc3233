"""`doctor`: what of this machine learnd needs, tried one by one, each with the way to mend it.

Nothing here changes anything: the sandbox's own self-test runs a harmless probe, all else only looks.
"""

from __future__ import annotations

import os
import pwd
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from events.database import OLDEST_SQLITE, LogUnusable, open_reader, require_local_file_system
from learnd.installation import ForeignPackages, assert_own_packages
from learnd.locate import NAME, Place, config_file
from learnd.verbs.alerts import alert_checks
from learnd.verbs.check import Check, ok
from learnd.verbs.reading import Reading, place_of, reading
from learnd.verbs.room import disk_check
from learnd.verbs.status import daemon_state
from learnd.verbs.terminal import STYLES, Stop, ago, clean, is_terminal, print_json, say
from learnd.verbs.units import read_only_for_daemon, unit_checks
from learnd.verbs.unknown import active_checks
from learnd.views.queries import FaultRow

if TYPE_CHECKING:
    from learnd.settings import Settings

GIT_OLDEST = (2, 36)
WATCH_SHARE = 0.8


def doctor(log: Path | None, *, as_json: bool) -> int:
    """Print every check. JSON: an array of `{name, state: ok|warn|fail, found, mend}`. 1 when one fails."""
    checks = []
    for check in examine(place_of(log)):
        checks.append(check)
        if not as_json:
            _print(check)
    if as_json:
        print_json([asdict(check) for check in checks])
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if not as_json:
        say(f"{len(checks)} checks, {failed} failed, {warned} warnings", "bold")
    return int(failed > 0)


def _print(check: Check) -> None:
    line = f"{check.name:<16}  {check.found}"
    if is_terminal():
        from rich.text import Text

        from learnd.verbs.terminal import console

        console().print(Text(f"{check.state:<4}", STYLES[check.state]), Text(clean(line)))
    else:
        say(f"{check.state:<4} {line}")
    if check.mend:
        say(f"     {'':<16}  Next: {check.mend}")


def examine(place: Place) -> Iterator[Check]:
    """All checks, those first that others depend on."""
    yield _packages()
    settings = _settings(place)
    yield settings if isinstance(settings, Check) else ok("settings", str(config_file() or "defaults"))
    yield _git()
    yield _sqlite()
    yield from _state_dir(place)
    yield _disk(place)
    if not isinstance(settings, Check):
        yield _sandbox(settings)
        yield _model_key(settings)
        yield _packs(place, settings)
        yield _learning(settings)
        yield _approvers(settings)
        yield from _channels(settings)
    yield from _log(place)
    yield from unit_checks(_user(os.geteuid()))


# --- the program and its settings ---


def _packages() -> Check:
    try:
        assert_own_packages()
    except ForeignPackages as error:
        found, _, mend = str(error).partition(" Next: ")
        return Check("packages", "fail", found, mend)
    return ok("packages", "events and state are learnd's own")


def _settings(place: Place) -> Settings | Check:
    from learnd.settings import SettingsInvalid, read_settings  # pydantic-settings is slow

    try:
        settings = read_settings()
    except SettingsInvalid as error:
        return Check("settings", "fail", str(error), "correct the setting")
    return settings.model_copy(update={"state_dir": place.state_dir})


def _git() -> Check:
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Check("git", "fail", f"git does not run: {error}", "install git 2.36 or newer")
    digits = said.removeprefix("git version ").split(".")
    version = tuple(int(part) for part in digits[:2] if part.isdigit())
    if version < GIT_OLDEST:
        return Check("git", "fail", said.strip(), "install git 2.36 or newer")
    return ok("git", said.strip())


def _sqlite() -> Check:
    found = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Check("sqlite", "fail", found, "use a Python whose SQLite is 3.37 or newer")
    from learnd.views.store import has_full_text_search  # brings pydantic

    if not has_full_text_search():
        found = f"{found} without FTS5, by which patterns are found"
        return Check("sqlite", "fail", found, "use a Python whose SQLite has it")
    return ok("sqlite", f"{found} with FTS5")


def _model_key(settings: Settings) -> Check:
    if settings.openai_api_key is None:
        return ok("model key", "not set: patterns are written by the embedded author, without a model")
    where = settings.openai_base_url or "the provider's own endpoint"
    from learnd.crystalizer.openai_author import unusable  # brings pydantic

    found = (
        f"set (not shown), {settings.model} at {where}, ${settings.budget_usd:.2f} a job, "
        f"${settings.budget_day_usd:.2f} a day, ${settings.budget_month_usd:.2f} a month"
    )
    wrong = unusable(settings)
    if wrong is None:
        return ok("model key", found)
    what, _, mend = wrong.partition(" Next: ")
    return Check("model key", "fail", what, mend or "learnd packs")


def _learning(settings: Settings) -> Check:
    if not settings.learning_enabled:
        return Check("learning", "warn", "off (LEARNING_PIPELINE_ENABLED=0)", "unset LEARNING_PIPELINE_ENABLED")
    return ok("learning", f"on, trigger {settings.trigger}")


def _approvers(settings: Settings) -> Check:
    from learnd.identity import approvers

    names = approvers(settings)
    unknown = sorted(name for name in names if not _is_user(name))
    if unknown:
        mend = "correct the setting approvers"
        return Check("approvers", "warn", f"no such user here: {', '.join(unknown)}", mend)
    return ok("approvers", ", ".join(sorted(names)))


def _channels(settings: Settings) -> Iterator[Check]:
    from learnd.verbs.channel_checks import channel_checks

    yield from channel_checks(settings.alerts)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return name.startswith("uid:")
    return True


def _sandbox(settings: Settings) -> Check:
    from learnd.lab.sandbox import Sandbox  # the lab is heavy

    report = Sandbox.choose(settings).self_test()
    if not report.ok:
        return Check("sandbox", "fail", report.reason, report.mend)
    if report.isolation == "none":
        return Check("sandbox", "warn", report.reason, report.mend)
    return ok("sandbox", "bubblewrap isolates replays (tried just now)")


# --- the machine ---


def _state_dir(place: Place) -> Iterator[Check]:
    folder = place.state_dir
    try:
        require_local_file_system(place.log)
    except LogUnusable as error:
        yield Check("file system", "fail", str(error), "set state_dir to a folder on a local disk")
    else:
        yield ok("file system", f"{folder} is on a local file system")
    try:
        found = folder.stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        mend = "learnd init makes it" if missing else "set state_dir to a folder that this user can make and write"
        yield Check("state folder", "warn" if missing else "fail", f"{folder}: {error.strerror}", mend)
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Check("state folder", "fail", f"{folder} is no folder", "set state_dir to a folder")
    elif found.st_uid != os.geteuid():
        owner = _user(found.st_uid)
        yield Check("state folder", "fail", f"{folder} belongs to {owner}", f"run learnd as {owner}, or use --log")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Check("state folder", "fail", f"{folder} cannot be written", f"chmod 700 {folder}")
    elif found.st_mode & 0o077:
        mend = f"chmod 700 {folder}"
        yield Check("state folder", "warn", f"{folder} is open to others (mode {found.st_mode & 0o777:o})", mend)
    else:
        yield ok("state folder", f"{folder} is private to {_user(found.st_uid)}")


def _user(uid: int) -> str:
    from learnd.identity import user_name

    return user_name(uid)


def _disk(place: Place) -> Check:
    if not place.has_log():
        return disk_check(place, None)
    try:
        with reading(place.log) as book:
            return disk_check(place, book.views)
    except Stop:
        return disk_check(place, None)  # what is wrong with the log, its own check says


def _packs(place: Place, settings: Settings) -> Check:
    from learnd.verbs.packs import pack_check  # brings the author's side

    try:
        return pack_check(place, settings)
    except Stop as stop:
        return Check("prompt packs", "warn", f"not looked at: {stop}")


# --- the log and what hangs on it ---


def _log(place: Place) -> Iterator[Check]:
    if not place.has_log():
        yield Check("log", "warn", f"no log yet at {place.log}", "learnd init REPO")
        return
    try:
        open_reader(place.log).close()
        with reading(place.log) as book:
            yield ok("log", f"{place.log} at position {book.head()}; learnd verify checks all of it")
            yield from _writable(place)
            yield _anchored(place)
            yield _daemon(book)
            yield from _cgroup(book)
            yield from (_fault(row) for row in book.views.faults())
            yield from alert_checks(book)
            yield _inotify(book)
            yield from _repositories(book)
            yield from active_checks(book)
    except (LogUnusable, Stop) as error:
        found, _, mend = str(error).partition(" Next: ")
        yield Check("log", "fail", found, mend or "learnd verify")


def _anchored(place: Place) -> Check:
    from learnd.keeping.anchor import LogBehind, require_agreement  # brings pydantic

    try:
        require_agreement(place.log)
    except LogBehind as error:
        found, _, mend = str(error).partition(" Next: ")
        return Check("log anchors", "fail", found, mend)
    return ok("log anchors", "the log is what it was known to be")


def _writable(place: Place) -> Iterator[Check]:
    found = place.log.stat()
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        owner = _user(found.st_uid)
        yield Check("log owner", "warn", f"it belongs to {owner}: only its daemon writes it", f"sudo -u {owner} learnd")
    if place.log.name != NAME:
        yield Check("log name", "warn", f"{place.log.name} can only be read", f"a log that is written is called {NAME}")


def _daemon(book: Reading) -> Check:
    daemon = daemon_state(book)
    if daemon.answers:
        behind = "" if daemon.position == book.head() else f", at position {daemon.position}"
        if daemon.troubles:
            said = "; ".join(f"{path}: {reason}" for path, reason in list(daemon.troubles.items())[:5])
            return Check(
                "daemon", "warn", f"pid {daemon.pid} could not write: {said}", "mend what it names; it tries again"
            )
        return ok("daemon", f"answers, pid {daemon.pid}{behind}")
    return Check("daemon", "warn", "no daemon answers", "learnd daemon, or learnd once from time to time")


def _fault(row: FaultRow) -> Check:
    mend = {
        "sandbox": "see the check sandbox", "disk": "see the check disk", "model": "the next call finds out by itself",
        "rate_limit": "it passes by itself", "spend": "see budget_day_usd, budget_month_usd and learnd metrics",
    }  # fmt: skip
    found = f"{row.kind} since {ago(row.since)}: {row.detail}"
    return Check("fault", "fail" if row.kind in ("sandbox", "disk") else "warn", found, mend.get(row.kind, ""))


def _cgroup(book: Reading) -> Iterator[Check]:
    """Whether the kernel bounds each replay of the daemon as a whole; without it they are watched."""
    from learnd.lab.cgroups import bounds_replays_of

    pid = daemon_state(book).pid
    if pid is not None:
        why_not = bounds_replays_of(pid)
        said = f"replays have none of their own and are watched instead: {why_not}"
        yield ok("cgroup", said if why_not else "each replay has its own, with bounds of memory and processes")


def _inotify(book: Reading) -> Check:
    limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    folders = sum(_folders(Path(tree.path) / ".runs") for tree in book.views.work_trees())
    found = f"{folders} folders under .runs/, {limit} watches allowed"
    if folders > limit * WATCH_SHARE:
        mend = f"sysctl -w fs.inotify.max_user_watches={max(524_288, folders * 4)}, and keep it in /etc/sysctl.d/"
        return Check("inotify", "warn", f"{found}: beyond, runs are found by sweeps only", mend)
    return ok("inotify", found)


def _folders(root: Path) -> int:
    return sum(1 for _ in os.walk(root)) if root.is_dir() else 0


def _repositories(book: Reading) -> Iterator[Check]:
    trees = book.views.work_trees()
    if not trees:
        yield Check("repositories", "warn", "none is registered", "learnd init REPO")
    daemon = daemon_state(book)
    looks: list[Callable[[Path], Check | None]] = [_there, _owner]
    if daemon.answers and daemon.pid is not None:
        looks.append(partial(read_only_for_daemon, pid=daemon.pid))
    for tree in trees:
        # One by one: what is not there has no owner to ask for.
        trouble = next((found for look in looks if (found := look(Path(tree.path)))), None)
        yield trouble or ok("repository", tree.path)


def _there(tree: Path) -> Check | None:
    from learnd.harvest.gitfolder import NotARepository, find

    try:
        found = find(tree).work_tree
    except NotARepository as error:
        return Check("repository", "warn", str(error).partition(" Next: ")[0], "learnd init PATH, where it moved to")
    return None if found == tree else Check("repository", "warn", f"{tree} lies in {found} now", f"learnd init {found}")


def _owner(tree: Path) -> Check | None:
    owner = tree.stat().st_uid
    if owner == 0 and os.geteuid() == 0:
        mend = f"chown -R USER {tree}: replays then run as that user"
        return Check("repository", "warn", f"{tree} belongs to root: its replays run as an unprivileged user", mend)
    if owner != os.geteuid() and os.geteuid() != 0:
        mend = f"run learnd as {_user(owner)}, or chown the repository"
        return Check(
            "repository", "warn", f"{tree} belongs to {_user(owner)}, learnd runs as {_user(os.geteuid())}", mend
        )
    return None
